// Which CANN the stand-in stands for, and on which NPU.
#pragma once

#include <string>

namespace host_cann {

struct Release {
  const char *name;  // as a user chooses it
  const char *version;
  int number;  // major * 100 + minor
};

struct Soc {
  const char *name;
  bool is_950;  // the others are of Atlas A2 and A3
};

// Each operation asks when it is called: a test may change it.
const Release &CurrentRelease();
const Soc &CurrentSoc();

// "CANN 9.0.0 on Ascend910B1"
std::string Present();

void CheckRelease();  // refuses what the environment says, if there is no such CANN or NPU

}  // namespace host_cann
