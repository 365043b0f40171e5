#include "text/unicode.h"

#include <algorithm>

#include "text/unicode_ranges.h"

namespace plumb {

CharClass char_class(char32_t code) {
  if (code > 0x10FFFF) return CharClass::kOther;
  const std::uint32_t* end = kUnicodeRanges + kUnicodeRangeCount;
  const std::uint32_t* after =
      std::upper_bound(kUnicodeRanges, end, static_cast<std::uint32_t>(code) << 3 | 7);
  return static_cast<CharClass>(after[-1] & 7);
}

}  // namespace plumb
