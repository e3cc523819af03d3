// A device address cannot be read or written by the host: the access faults, as on a machine with a device, and here
// the process says why before it dies.
#include <unistd.h>

#include <csignal>
#include <string>

#include "memory.h"

namespace host_cann {
namespace {

struct sigaction before_segv, before_bus;

void Explain(int number, siginfo_t *info, void *) {
  if (IsDevice(info->si_addr)) {
    const std::string text =
        "host stand-in for CANN: the host touched device memory: " + host_cann::Explain(info->si_addr, 1) +
        "; copy it to the host first\n";
    if (write(STDERR_FILENO, text.data(), text.size()) < 0) return;
  }
  // Whoever handled it before takes the same fault again.
  sigaction(number, number == SIGSEGV ? &before_segv : &before_bus, nullptr);
}

}  // namespace

void ExplainAccessFaults() {
  static const bool once = [] {
    struct sigaction action{};
    action.sa_sigaction = Explain;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGSEGV, &action, &before_segv) == 0 && sigaction(SIGBUS, &action, &before_bus) == 0;
  }();
  (void)once;
}

}  // namespace host_cann
