#include "text/pretokenize.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/utf8.h"
#include "text/unicode.h"
#include "text/unicode_ranges.h"

namespace plumb {

const std::string_view kSplitPatterns[3] = {
    "\\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
    "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*"
    "|\\s*[\r\n]+"
    R"(|\s+(?!\S)|\s+)",
};

namespace {

// What a character is to the scanner, as bits.
constexpr std::uint8_t kLetter = 1;  // letter or mark
constexpr std::uint8_t kPunct = 2;   // punctuation or symbol
constexpr std::uint8_t kNumber = 4;
constexpr std::uint8_t kSpace = 8;
constexpr std::uint8_t kLineEnd = 16;  // CR, LF; beside kSpace
constexpr std::uint8_t kEastern = 32;  // pattern 2: a segment of its own for pattern 3
constexpr std::uint8_t kEnd = 64;      // past the text

constexpr char32_t kCodeLimit = 0x110000;

bool is_eastern(char32_t code) {
  return (code >= 0x4E00 && code <= 0x9FA5) || (code >= 0x3040 && code <= 0x30FF);
}

std::uint8_t bits_of(char32_t code, CharClass kind) {
  if (kind == CharClass::kNumber) return kNumber;  // pattern 1 comes before pattern 2
  std::uint8_t bits = is_eastern(code) ? kEastern : 0;
  if (kind == CharClass::kLetterOrMark) bits |= kLetter;
  if (kind == CharClass::kPunctOrSymbol) bits |= kPunct;
  if (kind == CharClass::kSpace) bits |= kSpace;
  if (code == '\r' || code == '\n') bits |= kLineEnd;
  return bits;
}

// Bits of every code point in two stages: equal blocks of 256 are kept once.
class BitTable {
 public:
  BitTable() {
    std::vector<std::uint8_t> block(256);
    int range = -1;
    for (char32_t code = 0; code < kCodeLimit; ++code) {
      if (range + 1 < kUnicodeRangeCount && kUnicodeRanges[range + 1] >> 3 == code) ++range;
      block[code & 255] = bits_of(code, static_cast<CharClass>(kUnicodeRanges[range] & 7));
      if ((code & 255) == 255) add_block(code >> 8, block);
    }
    for (int code = 0; code < 128; ++code) ascii_[code] = (*this)[code];
  }
  std::uint8_t operator[](char32_t code) const {
    return blocks_[std::size_t{index_[code >> 8]} << 8 | (code & 255)];
  }
  std::uint8_t ascii(std::uint8_t code) const { return ascii_[code]; }

 private:
  void add_block(std::size_t page, const std::vector<std::uint8_t>& block) {
    std::size_t same = 0;
    while (same < blocks_.size() && std::memcmp(&blocks_[same], block.data(), 256) != 0)
      same += 256;
    if (same == blocks_.size()) blocks_.insert(blocks_.end(), block.begin(), block.end());
    index_[page] = static_cast<std::uint16_t>(same >> 8);
  }

  std::uint8_t ascii_[128];
  std::uint16_t index_[kCodeLimit >> 8];
  std::vector<std::uint8_t> blocks_;
};

const BitTable& bit_table() {
  static const BitTable table;
  return table;
}

struct Char {
  std::uint8_t bits;
  std::uint8_t length;
};

bool is_ascii_letter(char c) { return static_cast<unsigned>((c | 0x20) - 'a') < 26; }

// One text; all positions lie between the piece's begin and the text's end.
class Scanner {
 public:
  explicit Scanner(const char* end) : table_(bit_table()), end_(end) {}

  Char at(const char* p) const {
    if (p == end_) return {kEnd, 0};
    const auto lead = static_cast<std::uint8_t>(*p);
    if (lead < 0x80) return {table_.ascii(lead), 1};
    // Most of Chinese and Japanese; these leads allow any two continuation bytes.
    if (lead >= 0xE1 && lead <= 0xEC && end_ - p >= 3) {
      const auto second = static_cast<std::uint8_t>(p[1]);
      const auto third = static_cast<std::uint8_t>(p[2]);
      if ((second & 0xC0) == 0x80 && (third & 0xC0) == 0x80) {
        return {table_[(lead & 0xFU) << 12 | (second & 0x3FU) << 6 | (third & 0x3FU)], 3};
      }
    }
    const Utf8Step step = decode_utf8({p, static_cast<std::size_t>(end_ - p)}, 0);
    if (!step.valid) return {0, 1};
    return {table_[step.code], static_cast<std::uint8_t>(step.length)};
  }

  // The end of the piece that begins at `begin`, which is not the end of the text.
  const char* piece_end(const char* begin) const {
    Char c = at(begin);
    if (c.bits & kNumber) return number_end(begin);
    const std::uint8_t segment = c.bits & kEastern;
    const char* p = begin;
    while (true) {
      const char* match = match_end(p, c, segment);
      // A match after characters that matched nothing: those are a piece, the match is the next.
      if (match != nullptr) return p == begin ? match : p;
      p += c.length;
      c = at(p);
      if (leaves(c, segment)) return p;
    }
  }

 private:
  static bool leaves(Char c, std::uint8_t segment) {
    return (c.bits & (kNumber | kEnd)) != 0 || (c.bits & kEastern) != segment;
  }
  static bool is(Char c, std::uint8_t kind, std::uint8_t segment) {
    return (c.bits & (kind | kEastern)) == (kind | segment);
  }

  const char* number_end(const char* p) const {
    for (int i = 0; i < 3; ++i) {
      const Char c = at(p);
      if (!(c.bits & kNumber)) break;
      p += c.length;
    }
    return p;
  }

  const char* run_end(const char* p, std::uint8_t kind, std::uint8_t segment) const {
    while (true) {
      const Char c = at(p);
      if (!is(c, kind, segment)) return p;
      p += c.length;
    }
  }

  // The alternatives of pattern 3, in their order; nullptr when none matches at `p`.
  const char* match_end(const char* p, Char c, std::uint8_t segment) const {
    const char* after = p + c.length;
    if (is(c, kLetter, segment)) return run_end(after, kLetter, segment);
    if (c.bits & kPunct) {
      if (c.length == 1 && after != end_ && is_ascii_letter(*after))
        return ascii_letters_end(after);
      return punct_end(after, segment);
    }
    const Char next = at(after);
    if (!(c.bits & kLineEnd) && is(next, kLetter, segment)) {
      return run_end(after + next.length, kLetter, segment);
    }
    if (*p == ' ' && is(next, kPunct, segment)) return punct_end(after + next.length, segment);
    if (c.bits & kSpace) return space_end(p);
    return nullptr;
  }

  const char* ascii_letters_end(const char* p) const {
    while (p != end_ && is_ascii_letter(*p)) ++p;
    return p;
  }

  const char* punct_end(const char* p, std::uint8_t segment) const {
    p = run_end(p, kPunct, segment);
    if (segment != 0) return p;  // a line end after eastern punctuation is in another segment
    while (p != end_ && (*p == '\r' || *p == '\n')) ++p;
    return p;
  }

  const char* space_end(const char* p) const {
    const char* last = p;            // begin of the run's last character
    const char* line_end = nullptr;  // after the run's last line end
    const char* begin = p;
    Char c = at(p);
    while (c.bits & kSpace) {
      last = p;
      p += c.length;
      if (c.bits & kLineEnd) line_end = p;
      c = at(p);
    }
    if (line_end != nullptr) return line_end;
    return leaves(c, 0) || last == begin ? p : last;
  }

  const BitTable& table_;
  const char* end_;
};

}  // namespace

std::string_view PieceSplitter::next() {
  if (at_ == end_) return {};
  const char* begin = at_;
  at_ = Scanner(end_).piece_end(begin);
  return {begin, static_cast<std::size_t>(at_ - begin)};
}

}  // namespace plumb
