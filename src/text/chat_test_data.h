// For tests: the committed vectors of the chat format, and random conversations.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/chat.h"
#include "text/chat_json.h"

namespace plumb::chat_tests {

inline std::string read_data(const std::string& name) {
  std::ifstream file(std::string(PLUMB_SOURCE_DIR) + "/tests/data/encoding_v4/" + name,
                     std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline Json parse(const std::string& text) {
  const Result<Json> parsed = parse_json(text, "test data");
  EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : Json();
}

inline std::vector<Json> read_lines(const std::string& name) {
  std::vector<Json> rows;
  std::istringstream lines(read_data(name));
  for (std::string line; std::getline(lines, line);) rows.push_back(parse(line));
  return rows;
}

inline Conversation conversation(const Json& json, Effort effort = Effort::kNone) {
  Result<Conversation> read = conversation_from_json(json, effort);
  EXPECT_TRUE(read.has_value()) << (read ? "" : read.error().message);
  return read ? *read : Conversation();
}

inline Conversation conversation(const std::string& text, Effort effort = Effort::kNone) {
  return conversation(parse(text), effort);
}

// splitmix64: the same numbers everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(next() % limit); }
  bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }

 private:
  std::uint64_t state_;
};

}  // namespace plumb::chat_tests
