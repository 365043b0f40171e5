// What a code point is to the pre-tokeniser.
#pragma once

#include <cstdint>

namespace plumb {

// The classes that the published splitting patterns distinguish. Every code point is in exactly
// one: \p{N}, [\p{L}\p{M}], [\p{P}\p{S}], \s, or none of them (controls other than white space,
// format characters, private use, unassigned).
enum class CharClass : std::uint8_t { kOther, kLetterOrMark, kPunctOrSymbol, kNumber, kSpace };

// As the reference tokenizer's regex engine sees it. Binary search: for building tables and for
// tests. Past U+10FFFF: kOther.
CharClass char_class(char32_t code);

}  // namespace plumb
