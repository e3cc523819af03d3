// The C interface: the guard, and threads that share the rows.
#include "moe_gating_top_k.h"

#include <algorithm>
#include <exception>
#include <thread>
#include <vector>

#include "arguments.h"
#include "routing.h"
#include "versions.h"

namespace moe_gating {
namespace {

// Contiguous blocks of rows; the calling thread runs the last block, and whatever no thread could be had for.
void run_blocks(const moe_gating_top_k_args &args, int64_t blocks) {
  const int64_t rows = (args.tokens + blocks - 1) / blocks;
  int64_t first = 0;
  std::vector<std::thread> workers;
  try {
    workers.reserve(static_cast<size_t>(blocks));
    for (; first + rows < args.tokens; first += rows)
      workers.emplace_back([&args, first, rows] { version()->run_rows(args, first, first + rows); });
  } catch (const std::exception &) {  // out of threads or memory
  }
  version()->run_rows(args, first, args.tokens);
  for (auto &worker : workers) worker.join();
}

}  // namespace
}  // namespace moe_gating

int moe_gating_top_k(const moe_gating_top_k_args *args, int threads) {
  const moe_gating_code code = moe_gating::check(args);
  if (code != MOE_GATING_OK || args->tokens == 0) return code;
  if (const int stray = moe_gating_top_k_stray(args, 0, args->tokens, nullptr, 0)) return stray;
  const int64_t worthwhile = args->tokens * args->experts / MOE_GATING_LOGITS_PER_THREAD;
  const int64_t blocks = std::min<int64_t>({threads, worthwhile, args->tokens});
  if (blocks > 1)
    moe_gating::run_blocks(*args, blocks);
  else
    moe_gating::version()->run_rows(*args, 0, args->tokens);
  return MOE_GATING_OK;
}

int moe_gating_top_k_rows(const moe_gating_top_k_args *args, int64_t first, int64_t last) {
  const moe_gating_code code = moe_gating::check(args);
  if (code != MOE_GATING_OK) return code;
  if (first < 0 || first > last || last > args->tokens) return MOE_GATING_BAD_TOKENS;
  if (const int stray = moe_gating_top_k_stray(args, first, last, nullptr, 0)) return stray;
  if (first < last) moe_gating::version()->run_rows(*args, first, last);
  return MOE_GATING_OK;
}

int moe_gating_top_k_stray(const moe_gating_top_k_args *args, int64_t first, int64_t last, char *text, size_t room) {
  return moe_gating::find_stray(*args, first, last, text, room);
}

const char *moe_gating_top_k_vector(void) {
  return moe_gating::version() == nullptr ? "none" : moe_gating::version()->name;
}

const char *moe_gating_top_k_error(int code) { return moe_gating::describe(code); }
