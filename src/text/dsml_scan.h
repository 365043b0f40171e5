// Recognises DSML tags in a reply that may still be growing.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plumb::deepseek_v4 {

// In the reply reader's buffer, control tokens are bytes that never occur in UTF-8. Any other
// control token is its name between kNameMark and kNameEndMark.
inline constexpr char kDsmlMark = '\xff';
inline constexpr char kThinkMark = '\xfe';
inline constexpr char kEndThinkMark = '\xfd';
inline constexpr char kNameMark = '\xfc';
inline constexpr char kNameEndMark = '\xfb';

inline bool is_mark(char c) { return static_cast<unsigned char>(c) >= 0xf8; }
inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// The first mark, or npos.
std::size_t find_mark(std::string_view text);
// How many bytes the control token at text[0], a mark, takes.
std::size_t mark_size(std::string_view text);

enum class Match : unsigned char { kNo, kPartial, kYes };  // kPartial: more text decides

// Whether the markup of a tool-call block begins after "<" and the DSML token: a block tag followed
// by an invoke tag or the block's end, or an invoke tag alone. Decides within a fixed length, so
// that prose which merely mentions a tag is released soon.
Match match_opener(std::string_view after_dsml);

enum class Tag : unsigned char {
  kNone,     // not a tag
  kPartial,  // more text decides
  kInvoke,
  kInvokeEnd,
  kParameter,
  kParameterEnd,
  kBlock,
  kBlockEnd,
  kOther,  // a tag by another name
  kOtherEnd,
};
struct TagMatch {
  Tag tag = Tag::kNone;
  std::size_t size = 0;  // through the tag's name
};
// The tag that begins at text[0].
TagMatch match_tag(std::string_view text);

struct Header {
  Match match = Match::kNo;  // kNo: malformed
  std::string name;
  bool has_type = false;  // the string="..." attribute was there
  bool is_string = false;
  std::size_t size = 0;  // through the closing ">"
};
// ` name="NAME">`, the rest of an invoke tag.
Header match_invoke_header(std::string_view text);
// ` name="KEY" string="true|false">`, the rest of a parameter tag. Without the attribute, has_type
// is false.
Header match_parameter_header(std::string_view text);

}  // namespace plumb::deepseek_v4
