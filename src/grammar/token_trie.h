// Texts of tokens by their common beginnings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace plumb::grammar {

// Immutable, thread-safe.
class TokenTrie {
 public:
  struct Entry {
    std::string_view text;  // not empty; need not outlive the constructor
    Token token = -1;
  };
  TokenTrie() = default;
  explicit TokenTrie(std::vector<Entry> entries);

  // One more byte of some texts. Nodes stand in the order of a walk that goes down first: the next
  // node is the first child, if there is any, and `end` the first node that is not below this one.
  struct Node {
    std::uint8_t byte = 0;
    std::int32_t depth = 1;  // bytes from the root, this one included
    std::int32_t end = 0;
    // In tokens(): those whose text ends here, then those below.
    std::int32_t first = 0, own_end = 0, all_end = 0;
  };
  std::span<const Node> nodes() const { return nodes_; }
  // Sorted by text.
  std::span<const Token> tokens() const { return tokens_; }
  std::int32_t depth() const { return depth_; }  // of the longest text

  std::size_t bytes() const {
    return nodes_.size() * sizeof(Node) + tokens_.size() * sizeof(Token);
  }

 private:
  std::vector<Node> nodes_;
  std::vector<Token> tokens_;
  std::int32_t depth_ = 0;
};

}  // namespace plumb::grammar
