// Finds replies that repeat themselves.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/types.h"

namespace plumb {

// Counts, for every short period, how many of the last tokens are what stood one period before.
// Thread-compatible.
class LoopDetector {
 public:
  static constexpr std::size_t kLongest = 96;  // period, in tokens

  // The longest such run that ends with this token and holds its period twice at least.
  int push(Token token);

 private:
  std::array<Token, kLongest> last_{};  // a ring
  std::size_t count_ = 0;
  std::array<int, kLongest + 1> run_{};  // by period
};

}  // namespace plumb
