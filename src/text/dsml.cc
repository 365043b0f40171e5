#include "text/dsml.h"

#include "base/json.h"
#include "base/strings.h"
#include "text/deepseek_v4_literals.h"

namespace plumb::deepseek_v4 {
namespace {

constexpr std::string_view kResultEnd = "</tool_result>";
constexpr std::string_view kResultEndInContent = "<\\/tool_result>";

// "<" or "</", the control token, then `rest`.
void tag(std::string_view open, std::string_view rest, PromptPieces& out) {
  out.text(open);
  out.control(kDsml);
  out.text(rest);
}

void append_parameter(std::string_view key, const Json& value, PromptPieces& out) {
  const bool is_string = value.is_string();
  tag("<", str("parameter name=\"", key, "\" string=\"", is_string, "\">"), out);
  out.text(is_string ? value.text() : value.dump_python());
  tag("</", "parameter>", out);
}

void append_parameters(const std::string& arguments, PromptPieces& out) {
  const Result<Json> parsed = parse_json(arguments, "arguments");
  if (!parsed || !parsed->is_object()) {
    append_parameter("arguments", Json::string(arguments), out);
    return;
  }
  bool first = true;
  for (const auto& [key, value] : parsed->members()) {
    if (!first) out.text("\n");
    append_parameter(key, value, out);
    first = false;
  }
}

}  // namespace

void append_tool_calls(const std::vector<ToolCall>& calls, PromptPieces& out) {
  if (calls.empty()) return;
  out.text("\n\n");
  tag("<", "tool_calls>\n", out);
  bool first = true;
  for (const ToolCall& call : calls) {
    if (!first) out.text("\n");
    tag("<", str("invoke name=\"", call.name, "\">\n"), out);
    append_parameters(call.arguments, out);
    out.text("\n");
    tag("</", "invoke>", out);
    first = false;
  }
  out.text("\n");
  tag("</", "tool_calls>", out);
}

std::string wrap_tool_result(std::string_view content) {
  std::string wrapped = "<tool_result>";
  for (;;) {
    const std::size_t at = content.find(kResultEnd);
    wrapped += content.substr(0, at);
    if (at == std::string_view::npos) break;
    wrapped += kResultEndInContent;
    content.remove_prefix(at + kResultEnd.size());
  }
  wrapped += kResultEnd;
  return wrapped;
}

}  // namespace plumb::deepseek_v4
