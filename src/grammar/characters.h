// Sets of characters, and how texts hold them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "grammar/rules.h"

namespace plumb::grammar {

// A set of Unicode scalar values as ascending, separate ranges.
class CharSet {
 public:
  struct Range {
    char32_t low = 0, high = 0;  // inclusive
    bool operator==(const Range&) const = default;
  };
  CharSet() = default;
  CharSet(std::initializer_list<Range> ranges);
  static CharSet any();  // every scalar value
  static CharSet one(char32_t c) { return {{c, c}}; }

  void add(char32_t low, char32_t high);
  void add(const CharSet& other);
  CharSet inverted() const;  // among scalar values
  CharSet common(const CharSet& other) const;
  CharSet without(const CharSet& other) const { return common(other.inverted()); }
  bool contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<Range>& ranges() const { return ranges_; }
  bool operator==(const CharSet&) const = default;

 private:
  void tidy();
  std::vector<Range> ranges_;
};

// What a JSON string holds as it is.
const CharSet& plain_in_json();
// The characters of a filler.
const CharSet& filler_characters(Filler filler);

enum class Spelling : std::uint8_t {
  kRaw,   // UTF-8
  kJson,  // inside a JSON string: as it is, or by an escape where one is needed
};

// One character of the set.
ExprId character(Rules& rules, const CharSet& set, Spelling spelling);
// Any text in which `part`, which begins with U+FF5C, does not occur; no other character of a text
// is looked at twice.
ExprId text_without(Rules& rules, std::string_view part);
// A text that is given, in its usual spelling: no escape that is not needed.
ExprId text(Rules& rules, std::string_view text, Spelling spelling);

}  // namespace plumb::grammar
