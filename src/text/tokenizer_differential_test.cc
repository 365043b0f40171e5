// Against digests of what the reference library makes of the published tokenizer.json
// (tools/tokenizer/capture.py): texts in three languages, long pieces, 100,000 random strings.
#include <gtest/gtest.h>

#include <map>

#include "base/digest.h"
#include "text/v4_tokenizer_for_tests.h"

namespace plumb {
namespace {

// As in tools/tokenizer/capture.py.
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}
  std::uint64_t below(std::uint64_t limit) {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return (z ^ z >> 31) % limit;
  }

 private:
  std::uint64_t state_;
};

constexpr char32_t kWhite[] = {0x20,   0x09,   0x0A,   0x0D,   0x0B,   0x0C,   0x85,   0xA0,
                               0x1680, 0x2003, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0x200B};
constexpr char32_t kEdges[] = {0xD7FF, 0xE000, 0xFFFE, 0xFFFF, 0x10FFFF, 0xFFFD, 0xFEFF, 0x10000};
constexpr std::string_view kNames[] = {"<｜User｜>",
                                       "<｜Assistant｜>",
                                       "<think>",
                                       "</think>",
                                       "｜DSML｜",
                                       "<｜end▁of▁sentence｜>",
                                       "<|EOT|>",
                                       "</dsml:",
                                       "<｜fim▁hole｜>",
                                       "<｜place▁holder▁no▁1｜>",
                                       "<｜place▁holder▁no▁17",
                                       "<｜"};
constexpr std::pair<char32_t, char32_t> kRanges[] = {
    {0x61, 0x7A},       {0x41, 0x7A},     {0x21, 0x7E},       {0x30, 0x39},
    {0x20, 0x20},       {0xA0, 0x24F},    {0x300, 0x36F},     {0x370, 0x52F},
    {0x590, 0x6FF},     {0x900, 0xDFF},   {0xE00, 0xFFF},     {0x1100, 0x11FF},
    {0xAC00, 0xD7A3},   {0x3000, 0x30FF}, {0x3040, 0x30FF},   {0x4E00, 0x9FFF},
    {0x4E00, 0x51FF},   {0x3400, 0x4DBF}, {0xFF00, 0xFFEF},   {0x1F300, 0x1FAFF},
    {0x200C, 0x206F},   {0x2000, 0x2BFF}, {0x00, 0x1F},       {0x7F, 0x9F},
    {0xE000, 0xF8FF},   {0xF900, 0xFFFF}, {0x10000, 0x1FFFF}, {0x20000, 0x323AF},
    {0xE0000, 0xE01EF}, {0x00, 0x10FFFF}, {0x00, 0x2FFF},
};

std::string random_string(std::uint64_t index) {
  constexpr std::size_t kKinds = std::size(kRanges);
  SplitMix64 rng(index);
  std::string out;
  const std::uint64_t segments = 1 + rng.below(8);
  for (std::uint64_t segment = 0; segment < segments; ++segment) {
    const std::uint64_t kind = rng.below(kKinds + 4);
    const std::uint64_t length = 1 + rng.below(12);
    if (kind == kKinds) {
      out += kNames[rng.below(std::size(kNames))];
      continue;
    }
    if (kind == kKinds + 1) {
      out.append(length * length, static_cast<char>(0x21 + rng.below(94)));
      continue;
    }
    for (std::uint64_t i = 0; i < length; ++i) {
      char32_t point;
      if (kind == kKinds + 2) {
        point = kWhite[rng.below(std::size(kWhite))];
      } else if (kind == kKinds + 3) {
        point = kEdges[rng.below(std::size(kEdges))];
      } else {
        const auto [first, last] = kRanges[kind];
        point = first + static_cast<char32_t>(rng.below(last - first + 1));
        if (point >= 0xD800 && point < 0xE000) point += 0x800;
      }
      append_utf8(out, point);
    }
  }
  return out;
}

std::string draw(std::uint64_t seed, char32_t first, std::uint64_t kinds, int length) {
  SplitMix64 rng(seed);
  std::string out;
  for (int i = 0; i < length; ++i)
    append_utf8(out, first + static_cast<char32_t>(rng.below(kinds)));
  return out;
}

// SHA-256 of lists of numbers: each as its length and its items, little-endian u32.
class Digest {
 public:
  template <class Number>
  void add(const std::vector<Number>& numbers) {
    put(static_cast<std::uint32_t>(numbers.size()));
    for (const Number number : numbers) put(static_cast<std::uint32_t>(number));
    count_ += numbers.size();
  }
  std::string finish() { return str(count_, "\t", hex(sha_.finish())); }

 private:
  void put(std::uint32_t value) {
    char bytes[4];
    for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(value >> 8 * i);
    sha_.update(std::string_view(bytes, 4));
  }
  Sha256 sha_;
  std::size_t count_ = 0;
};

struct Digests {
  Digest pieces, plain, trusted;

  void add(std::string_view text) {
    std::vector<std::size_t> lengths;
    PieceSplitter splitter(text);
    for (auto piece = splitter.next(); !piece.empty(); piece = splitter.next()) {
      lengths.push_back(piece.size());
    }
    pieces.add(lengths);
    std::vector<Token> ids;
    v4_tokenizer().encode(text, ids);
    std::string back;
    for (const Token id : ids) back += v4_tokenizer().bytes(id);
    EXPECT_TRUE(back == text);
    plain.add(ids);
    ids.clear();
    v4_tokenizer().encode_trusted(text, ids);
    trusted.add(ids);
  }
};

class Differential : public testing::Test {
 protected:
  void SetUp() override {
    const std::string table = test_data("tokenizer/differential.tsv");
    for (const std::string_view line : split_at(table, '\n')) {
      const auto fields = split_at(line, '\t');
      expected_[str(fields[0], "/", fields[1])] = str(fields[2], "\t", fields[3]);
    }
  }
  void expect(const std::string& name, Digests digests) {
    EXPECT_EQ(expected_[name + "/pieces"], digests.pieces.finish()) << name;
    EXPECT_EQ(expected_[name + "/plain"], digests.plain.finish()) << name;
    EXPECT_EQ(expected_[name + "/trusted"], digests.trusted.finish()) << name;
  }
  void expect_text(const std::string& name, std::string_view text) {
    Digests digests;
    digests.add(text);
    expect(name, std::move(digests));
  }

  std::map<std::string, std::string> expected_;
};

TEST_F(Differential, TextsInThreeLanguages) {
  for (const char* name : {"alice.en.txt", "promessi_sposi.it.txt", "xiyouji.zh.txt"}) {
    expect_text(name, test_data(std::string("texts/") + name));
  }
}

TEST_F(Differential, LongPieces) {
  expect_text("long one letter", std::string(100000, 'a'));
  expect_text("long letters", draw(1, 'a', 26, 100000));
  expect_text("long two letters", draw(2, 'a', 2, 50000));
  expect_text("long Chinese", draw(3, 0x4E00, 0x9FA6 - 0x4E00, 50000));
  expect_text("long common Chinese", draw(4, 0x4E00, 0x80, 50000));
}

TEST_F(Differential, RandomStrings) {
  for (int begin = 0; begin < 100000; begin += 1000) {
    Digests digests;
    for (int i = begin; i < begin + 1000; ++i) digests.add(random_string(i));
    expect(str("random ", begin), std::move(digests));
  }
}

}  // namespace
}  // namespace plumb
