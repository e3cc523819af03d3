#include "release.h"

#include <strings.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "entry_point.h"

namespace host_cann {
namespace {

constexpr const char *kCann = "ASCEND_MOE_GATING_CANN", *kSoc = "ASCEND_MOE_GATING_SOC";

constexpr Release kReleases[] = {
    {"newest", "9.2.0", 902}, {"8.3", "8.3.0", 803},   {"8.5.0", "8.5.0", 805},
    {"9.0.0", "9.0.0", 900},  {"9.1.0", "9.1.0", 901},
};
constexpr Soc kSocs[] = {{"Ascend910B1", false}, {"Ascend910_9391", false}, {"Ascend950PR_9579", true}};

// The entry of this name; the first for an empty one.
template <class Entry, size_t count>
const Entry &Find(const Entry (&entries)[count], const char *variable, const char *name) {
  if (name == nullptr || *name == '\0') return entries[0];
  std::string rule;
  for (size_t i = 0; i < count; ++i) {
    if (strcasecmp(entries[i].name, name) == 0) return entries[i];
    rule += (i == 0 ? "" : i + 1 < count ? ", " : " or ") + std::string(entries[i].name);
  }
  throw Refusal{kInvalidParam, std::string(variable) + " must be " + rule + ", got '" + name + "'"};
}

// A wrong value has been said when the library was loaded.
template <class Entry, size_t count>
const Entry *FromEnvironment(const Entry (&entries)[count], const char *variable) {
  try {
    return &Find(entries, variable, std::getenv(variable));
  } catch (const Refusal &) {
    return &entries[0];
  }
}

std::atomic<const Release *> &release() {
  static std::atomic<const Release *> current{FromEnvironment(kReleases, kCann)};
  return current;
}
std::atomic<const Soc *> &soc() {
  static std::atomic<const Soc *> current{FromEnvironment(kSocs, kSoc)};
  return current;
}

constexpr size_t kText = 128, kPart = 64;  // ACL_PKG_VERSION_MAX_SIZE, ACL_PKG_VERSION_PARTS_MAX_SIZE

struct PackageVersion {  // aclCANNPackageVersion
  char version[kText], major[kPart], minor[kPart], release[kPart], patch[kPart], reserved[kText];
};

}  // namespace

const Release &CurrentRelease() { return *release(); }
const Soc &CurrentSoc() { return *soc(); }

std::string Present() { return std::string("CANN ") + CurrentRelease().version + " on " + CurrentSoc().name; }

void CheckRelease() {
  Find(kReleases, kCann, std::getenv(kCann));
  Find(kSocs, kSoc, std::getenv(kSoc));
}

// Called by simulator/releases.py. A null pointer leaves what is there.
EXPORT int host_cann_stand_for(const char *cann, const char *name) {
  return EntryPointWithoutDevice(__func__, [&] {
    const Release *const chosen = cann == nullptr ? &CurrentRelease() : &Find(kReleases, "cann", cann);
    const Soc *const chosen_soc = name == nullptr ? &CurrentSoc() : &Find(kSocs, "soc", name);
    release() = chosen, soc() = chosen_soc;
  });
}
EXPORT const char *host_cann_release() { return CurrentRelease().name; }

EXPORT const char *aclrtGetSocName() { return CurrentSoc().name; }

// All packages have the version of CANN.
EXPORT int aclsysGetVersionStr(char *, char *version) {
  return EntryPointWithoutDevice(__func__, [&] { std::strcpy(&Place(version), CurrentRelease().version); });
}
EXPORT int aclsysGetVersionNum(char *, int32_t *version) {
  return EntryPointWithoutDevice(__func__, [&] {
    Place(version) = CurrentRelease().number / 100 * 10000000 + CurrentRelease().number % 100 * 100000;
  });
}
EXPORT int aclsysGetCANNVersion(int, PackageVersion *version) {
  return EntryPointWithoutDevice(__func__, [&] {
    Place(version) = {};
    std::strcpy(version->version, CurrentRelease().version);
    std::snprintf(version->major, kPart, "%d", CurrentRelease().number / 100);
    std::snprintf(version->minor, kPart, "%d", CurrentRelease().number % 100);
    std::strcpy(version->release, "0");
  });
}

}  // namespace host_cann
