// Finds stop strings in text that arrives in pieces.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

// Holds back what could still become a stop string. Thread-compatible.
class StopScanner {
 public:
  explicit StopScanner(std::vector<std::string> stops);  // empty strings are ignored

  // The text that is certain to be part of the answer. Nothing more comes after a match.
  std::string push(std::string_view text);
  std::string flush();  // what was held back: no stop string came of it

  const std::optional<std::string>& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace plumb
