// The added tokens of a tokenizer, by name.
#pragma once

#include <cstddef>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "text/tokenizer_file.h"

namespace plumb {

// Immutable after construction, safe to share. `tokens` must outlive it.
class ControlTokens {
 public:
  explicit ControlTokens(const std::vector<ControlToken>& tokens);

  Token find(std::string_view name) const;  // -1: there is none of that name

  // A stretch of text: what it became, or -1 where it stays text.
  struct Part {
    std::string_view text;
    Token control = -1;
  };
  // Finds the names that occur in `text` as the reference library does: leftmost first, the longest
  // of those that begin together; all names that are not `normalized`, and in what remains those
  // that are. Stretches are never empty and join up to `text`.
  std::vector<Part> split(std::string_view text) const;

 private:
  // The names of one `normalized` flag.
  struct Group {
    std::unordered_map<std::string_view, Token> ids;
    std::vector<std::size_t> lengths;  // that occur, longest first
    bool leads[256] = {};              // bytes that a name begins with
  };
  static void split_by(const Group& group, std::string_view text, std::vector<Part>& out);

  Group groups_[2];  // by `normalized`
};

}  // namespace plumb
