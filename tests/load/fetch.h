// One GET, waited for.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "load/connection.h"

namespace plumb::load {

// The body of a response with status 200. kUnavailable says what came instead.
Result<std::string> fetch(const Target& target, std::string_view path, std::string_view key = "",
                          std::chrono::milliseconds timeout = std::chrono::milliseconds(10000));

}  // namespace plumb::load
