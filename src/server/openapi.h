// The server's own description, GET /openapi.json.
#pragma once

#include <string_view>

namespace plumb {

// openapi.json beside this file, put into the program by the build.
std::string_view openapi_document();

}  // namespace plumb
