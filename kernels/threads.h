// Threads that share the rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "moe_gating_top_k.h"

namespace moe_gating {

// Calls run(first, last) for contiguous blocks of rows, on at most so many threads: the calling one runs the last block,
// and whatever no thread could be had for.
template <class Run>
void share_rows(int64_t tokens, int64_t experts, int threads, Run run) {
  const int64_t worthwhile = tokens * experts / MOE_GATING_LOGITS_PER_THREAD;
  const int64_t blocks = std::max<int64_t>(1, std::min<int64_t>({threads, worthwhile, tokens}));
  const int64_t rows = (tokens + blocks - 1) / blocks;
  int64_t first = 0;
  std::vector<std::thread> workers;
  if (blocks > 1) {
    try {
      workers.reserve(static_cast<size_t>(blocks));
      for (; first + rows < tokens; first += rows)
        workers.emplace_back([run, first, rows] { run(first, first + rows); });
    } catch (const std::exception &) {  // out of threads or memory
    }
  }
  run(first, tokens);
  for (auto &worker : workers) worker.join();
}

}  // namespace moe_gating
