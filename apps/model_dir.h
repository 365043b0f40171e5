// Where the bundled model lies.
#pragma once

#include <filesystem>

namespace plumb {

// The model that comes with the program: beside an installed binary (<prefix>/share/plumb/models)
// or in the source tree above a built one. The first place that holds a config.json; else the first
// one looked at, so that the error names a place people expect.
std::filesystem::path bundled_model();

}  // namespace plumb
