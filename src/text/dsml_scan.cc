#include "text/dsml_scan.h"

#include <algorithm>
#include <initializer_list>
#include <span>

namespace plumb::deepseek_v4 {
namespace {

constexpr std::size_t kMaxOpener = 256;   // bytes looked at to tell a block from prose about one
constexpr std::size_t kMaxHeader = 4096;  // bytes of a name with its attributes

// Published spellings, and two that models are seen to write.
constexpr std::string_view kBlockNames[] = {"tool_calls", "toolcalls", "function_calls"};

Match match_word(std::string_view text, std::string_view word) {
  if (text.substr(0, word.size()) == word) return Match::kYes;
  return word.substr(0, text.size()) == text ? Match::kPartial : Match::kNo;
}

std::size_t spaces(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_space) -
                                  text.begin());
}

// `word`, after any white space; on kYes `text` loses both.
Match take(std::string_view& text, std::string_view word) {
  const std::string_view at = text.substr(spaces(text));
  const Match match = match_word(at, word);
  if (match == Match::kYes) text = at.substr(word.size());
  return match;
}

Match take_any(std::string_view& text, std::span<const std::string_view> words) {
  Match best = Match::kNo;
  for (const std::string_view word : words) {
    const Match match = take(text, word);
    if (match == Match::kYes) return match;
    best = std::max(best, match);
  }
  return best;
}

Match take_all(std::string_view& text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (const Match match = take(text, word); match != Match::kYes) return match;
  }
  return Match::kYes;
}

Match match_opener_words(std::string_view text) {
  if (const Match invoke = take(text, "invoke"); invoke != Match::kNo) {
    return invoke == Match::kYes ? take(text, "name") : invoke;
  }
  if (const Match block = take_any(text, kBlockNames); block != Match::kYes) return block;
  if (const Match close = take(text, ">"); close != Match::kYes) return close;
  std::string_view end = text;
  const Match block_end = take(end, "</\xff");
  const Match invoke = take_all(text, {"<\xff", "invoke"});
  return std::max(block_end, invoke);
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

Tag tag_named(std::string_view name, bool end) {
  if (name == "invoke") return end ? Tag::kInvokeEnd : Tag::kInvoke;
  if (name == "parameter") return end ? Tag::kParameterEnd : Tag::kParameter;
  for (const std::string_view block : kBlockNames) {
    if (name == block) return end ? Tag::kBlockEnd : Tag::kBlock;
  }
  return end ? Tag::kOtherEnd : Tag::kOther;
}

Header undecided(std::string_view text, std::string_view visible) {
  // A control token, or too long a name: the header can no longer come right.
  const bool final = visible.size() < text.size() || text.size() >= kMaxHeader;
  return {.match = final ? Match::kNo : Match::kPartial,
          .name = {},
          .has_type = false,
          .is_string = false,
          .size = 0};
}

}  // namespace

std::size_t find_mark(std::string_view text) {
  const auto found = std::find_if(text.begin(), text.end(), is_mark);
  return found == text.end() ? std::string_view::npos
                             : static_cast<std::size_t>(found - text.begin());
}

std::size_t mark_size(std::string_view text) {
  return text.front() == kNameMark ? text.find(kNameEndMark) + 1 : 1;
}

Match match_opener(std::string_view after_dsml) {
  const Match match = match_opener_words(after_dsml.substr(0, kMaxOpener));
  return match == Match::kPartial && after_dsml.size() >= kMaxOpener ? Match::kNo : match;
}

TagMatch match_tag(std::string_view text) {
  const std::string_view open = text.substr(0, text.substr(0, 2) == "</" ? 2 : 1);
  if (text.empty() || text == "<" || text == "</") return {Tag::kPartial, 0};
  if (open.front() != '<' || text[open.size()] != kDsmlMark) return {Tag::kNone, 0};
  std::size_t start = open.size() + 1;
  while (start < text.size() && start < kMaxOpener && is_space(text[start])) ++start;
  std::size_t end = start;
  while (end < text.size() && end - start < kMaxOpener && is_name_char(text[end])) ++end;
  if (end == text.size()) return {Tag::kPartial, 0};
  return {tag_named(text.substr(start, end - start), open.size() == 2), end};
}

Header match_invoke_header(std::string_view text) {
  const std::string_view visible = text.substr(0, std::min(find_mark(text), kMaxHeader));
  std::string_view name = visible;
  if (take_all(name, {"name", "=", "\""}) != Match::kYes) return undecided(text, visible);
  const std::size_t end = name.find("\">");
  if (end == std::string_view::npos) return undecided(text, visible);
  const std::size_t before = visible.size() - name.size();
  return {.match = end == 0 ? Match::kNo : Match::kYes,
          .name = std::string(name.substr(0, end)),
          .has_type = false,
          .is_string = false,
          .size = before + end + 2};
}

Header match_parameter_header(std::string_view text) {
  const std::string_view visible = text.substr(0, std::min(find_mark(text), kMaxHeader));
  std::string_view key = visible;
  if (take_all(key, {"name", "=", "\""}) != Match::kYes) return undecided(text, visible);
  const std::size_t before = visible.size() - key.size();
  constexpr std::string_view kString = "\" string=\"true\">";
  constexpr std::string_view kOther = "\" string=\"false\">";
  const std::size_t as_string = key.find(kString);
  const std::size_t as_other = key.find(kOther);
  if (as_string != as_other) {  // not both npos
    const bool is_string = as_string < as_other;
    const std::size_t end = std::min(as_string, as_other);
    return {.match = Match::kYes,
            .name = std::string(key.substr(0, end)),
            .has_type = true,
            .is_string = is_string,
            .size = before + end + (is_string ? kString : kOther).size()};
  }
  Header header = undecided(text, visible);
  const std::size_t end = key.find("\">");
  if (header.match == Match::kPartial || end == std::string_view::npos) return header;
  // No type came before the next tag: the shortest reading is all that is left.
  return {.match = Match::kYes,
          .name = std::string(key.substr(0, end)),
          .has_type = false,
          .is_string = false,
          .size = before + end + 2};
}

}  // namespace plumb::deepseek_v4
