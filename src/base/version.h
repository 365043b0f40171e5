// What this program was built from.
#pragma once

#include <string>

namespace plumb {

struct BuildInfo {
  const char* version;   // "0.1.0"
  const char* commit;    // twelve digits, "-dirty" when files differed from it; or "unknown"
  const char* compiler;  // "GCC 12.2.0"
  const char* type;      // "Release", "RelWithDebInfo" ...
};

const BuildInfo& build_info();

// "plumb 0.1.0 (commit 93ce92f0a1b2, GCC 12.2.0, Release)"
std::string version_text();

}  // namespace plumb
