// Another program's speed, by its own account.
#pragma once

#include <string>

#include "base/result.h"

namespace plumb {

// Runs `command` in a shell and returns the last number of its standard output, as tokens per
// second. Its standard error is passed through. kInvalid says what it printed, or how it ended.
Result<double> rival_speed(const std::string& command);

}  // namespace plumb
