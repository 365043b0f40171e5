#include "text/control_tokens.h"

#include <algorithm>
#include <cstdint>
#include <functional>

namespace plumb {

ControlTokens::ControlTokens(const std::vector<ControlToken>& tokens) {
  for (const ControlToken& token : tokens) {
    Group& group = groups_[token.normalized ? 1 : 0];
    group.ids.emplace(token.name, token.id);
    group.lengths.push_back(token.name.size());
    group.leads[static_cast<std::uint8_t>(token.name[0])] = true;
  }
  for (Group& group : groups_) {
    std::sort(group.lengths.begin(), group.lengths.end(), std::greater<>());
    group.lengths.erase(std::unique(group.lengths.begin(), group.lengths.end()),
                        group.lengths.end());
  }
}

Token ControlTokens::find(std::string_view name) const {
  for (const Group& group : groups_) {
    const auto found = group.ids.find(name);
    if (found != group.ids.end()) return found->second;
  }
  return -1;
}

void ControlTokens::split_by(const Group& group, std::string_view text, std::vector<Part>& out) {
  std::size_t begin = 0;  // of the text that is not yet in `out`
  for (std::size_t at = 0; at < text.size();) {
    Token found = -1;
    std::size_t length = 1;
    if (group.leads[static_cast<std::uint8_t>(text[at])]) {
      for (const std::size_t candidate : group.lengths) {
        if (candidate > text.size() - at) continue;
        const auto entry = group.ids.find(text.substr(at, candidate));
        if (entry == group.ids.end()) continue;
        found = entry->second;
        length = candidate;
        break;
      }
    }
    if (found >= 0) {
      if (at > begin) out.push_back({text.substr(begin, at - begin), -1});
      out.push_back({text.substr(at, length), found});
      begin = at + length;
    }
    at += length;
  }
  if (text.size() > begin) out.push_back({text.substr(begin), -1});
}

std::vector<ControlTokens::Part> ControlTokens::split(std::string_view text) const {
  std::vector<Part> first, out;
  split_by(groups_[0], text, first);
  for (const Part& part : first) {
    if (part.control >= 0) {
      out.push_back(part);
    } else {
      split_by(groups_[1], part.text, out);
    }
  }
  return out;
}

}  // namespace plumb
