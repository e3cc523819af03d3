// What a fuzzer has found, once more: `replay graph FILE...`, which says of each why it was refused, if it was, or
// `replay kernel FILE...`. For any compiler, and for the libraries as they are installed.
#include <fstream>
#include <sstream>

#include "run_graph.h"
#include "run_kernel.h"

int main(int count, char **arguments) {
  for (int i = 2; i < count; ++i) {
    std::ostringstream read;
    read << std::ifstream(arguments[i], std::ios::binary).rdbuf();
    const auto bytes = read.str();
    if (std::strcmp(arguments[1], "graph") == 0) {
      std::printf("%s: %s\n", arguments[i], fuzz::RunGraph(bytes).c_str());
    } else {
      fuzz::RunKernel(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    }
  }
  return 0;
}
