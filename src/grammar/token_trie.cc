#include "grammar/token_trie.h"

#include <algorithm>

namespace plumb::grammar {

TokenTrie::TokenTrie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.text != b.text ? a.text < b.text : a.token < b.token;
  });
  std::vector<std::int32_t> path;  // the nodes of the last text
  const auto close = [&](std::size_t keep) {
    while (path.size() > keep) {
      Node& node = nodes_[static_cast<std::size_t>(path.back())];
      node.end = static_cast<std::int32_t>(nodes_.size());
      node.all_end = static_cast<std::int32_t>(tokens_.size());
      path.pop_back();
    }
  };
  std::string_view last;
  for (const Entry& entry : entries) {
    const auto same = std::mismatch(last.begin(), last.end(), entry.text.begin(), entry.text.end());
    close(static_cast<std::size_t>(same.first - last.begin()));
    for (std::size_t i = path.size(); i < entry.text.size(); ++i) {
      path.push_back(static_cast<std::int32_t>(nodes_.size()));
      const auto first = static_cast<std::int32_t>(tokens_.size());
      nodes_.push_back({static_cast<std::uint8_t>(entry.text[i]), static_cast<std::int32_t>(i) + 1,
                        0, first, first, first});
    }
    tokens_.push_back(entry.token);
    nodes_[static_cast<std::size_t>(path.back())].own_end =
        static_cast<std::int32_t>(tokens_.size());
    depth_ = std::max(depth_, static_cast<std::int32_t>(entry.text.size()));
    last = entry.text;
  }
  close(0);
}

}  // namespace plumb::grammar
