#include "apps/model_dir.h"

#include <system_error>
#include <vector>

namespace plumb {

std::filesystem::path bundled_model() {
  namespace fs = std::filesystem;
  constexpr const char* kName = "minnow";
  std::error_code ec;
  const fs::path bin = fs::read_symlink("/proc/self/exe", ec).parent_path();
  const std::vector<fs::path> places = {
      bin.parent_path() / "models" / kName,                      // <source>/build/plumb
      bin.parent_path() / "share" / "plumb" / "models" / kName,  // <prefix>/bin/plumb
      fs::path(PLUMB_SOURCE_DIR) / "models" / kName,             // any other build directory
  };
  for (const fs::path& place : places) {
    if (fs::exists(place / "config.json", ec)) return place;
  }
  return places.front();
}

}  // namespace plumb
