#include "base/version.h"

#include "base/strings.h"
#include "plumb_commit.h"  // written by the build

#if defined(__clang__)
#define PLUMB_COMPILER "Clang " __clang_version__
#else
#define PLUMB_COMPILER "GCC " __VERSION__
#endif

namespace plumb {

const BuildInfo& build_info() {
  static constexpr BuildInfo kInfo = {PLUMB_VERSION, PLUMB_COMMIT, PLUMB_COMPILER,
                                      PLUMB_BUILD_TYPE};
  return kInfo;
}

std::string version_text() {
  const BuildInfo& info = build_info();
  return str("plumb ", info.version, " (commit ", info.commit, ", ", info.compiler, ", ", info.type,
             ")");
}

}  // namespace plumb
