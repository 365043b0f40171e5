// Every wire format there is, by name.
#pragma once

#include <span>
#include <string_view>

#include "gateway/wire/wire.h"

namespace plumb::wire {

std::span<const Format* const> formats();
const Format* format_named(std::string_view name);  // nullptr: there is none

}  // namespace plumb::wire
