// The generated table behind char_class(): see tools/unicode/generate.py.
#pragma once

#include <cstdint>

namespace plumb {

extern const std::uint32_t kUnicodeRanges[];
extern const int kUnicodeRangeCount;

}  // namespace plumb
