// Points in time as RFC 3339 has them, in UTC.
#pragma once

#include <chrono>
#include <string>

namespace plumb {

// "2026-11-05T07:08:09Z"; parts of a second are dropped.
std::string rfc3339_seconds(std::chrono::system_clock::time_point time);
// "2026-11-05T07:08:09.250Z"
std::string rfc3339_milliseconds(std::chrono::system_clock::time_point time);

}  // namespace plumb
