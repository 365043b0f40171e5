// Cuts a text into the pieces within which byte pairs are merged.
#pragma once

#include <cstddef>
#include <string_view>

namespace plumb {

// The published chain of three Split patterns, as one scanner. Each pattern isolates its matches
// within the pieces of the one before:
//   1. numbers, at most three at a time
//   2. runs of U+4E00..9FA5, U+3040..309F, U+30A0..30FF (Chinese and Japanese)
//   3. one ASCII punctuation mark and the ASCII letters after it | one other character and the
//      letters and marks after it | a space and punctuation or symbols and the line ends after it |
//      white space up to its last line end | white space but for its last character | white space
// What no pattern matches stays together as a piece. Pieces join up to the whole text. A byte that
// is not part of valid UTF-8 counts as one character of no category (the reference library cannot
// be given such text). Thread-compatible; the text must outlive the splitter.
class PieceSplitter {
 public:
  explicit PieceSplitter(std::string_view text)
      : at_(text.data()), end_(text.data() + text.size()) {}

  // The next piece; empty at the end of the text.
  std::string_view next();

 private:
  const char* at_;
  const char* end_;
};

// The patterns as tokenizer.json spells them, in order.
extern const std::string_view kSplitPatterns[3];

}  // namespace plumb
