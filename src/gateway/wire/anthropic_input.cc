#include "gateway/wire/anthropic_input.h"

#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "gateway/wire/anthropic_turns.h"
#include "gateway/wire/contract_fields.h"
#include "text/chat_json.h"

namespace plumb::wire {
namespace {

void read_tool(Fields& tool, std::set<std::string>& names, std::vector<ToolSpec>& out) {
  tool.unsupported("type", "only custom tools, which the client runs, are offered", "\"custom\"");
  const bool strict = tool.boolean("strict").value_or(false);
  for (const std::string_view key : {"cache_control", "eager_input_streaming", "defer_loading"}) {
    tool.pass(key);
  }
  std::string name = tool.required_string("name");
  // Part of the markup that the model reads and writes: nothing that could be taken for it.
  if (!is_name(name, "_-", 128)) tool.refuse("name", "1 to 128 letters, digits, _ and -");
  if (!names.insert(name).second) tool.refuse("name", "a name that no other tool has");
  Json function = Json::object({{"name", Json::string(name)}});
  if (auto description = tool.string("description")) {
    function.set("description", Json::string(*std::move(description)));
  }
  const Json* schema = tool.object("input_schema");
  if (!schema) return tool.refuse("input_schema", "an object");
  function.set("parameters", *schema);
  out.push_back({std::move(name), function.dump(), strict});
}

std::vector<ToolSpec> read_tools(Fields& body) {
  std::vector<ToolSpec> tools;
  const Json* list = body.array("tools");
  if (!list) return tools;
  std::set<std::string> names;
  for (std::size_t i = 0; i < list->items().size(); ++i) {
    Fields tool(list->items()[i], str("tools[", i, "]"), body.reading());
    read_tool(tool, names, tools);
  }
  return tools;
}

// Whether the model may call tools, and what it must.
bool read_tool_choice(Fields& body, Contract& contract) {
  const Json* object = body.object("tool_choice");
  if (!object) return true;
  Fields choice(*object, body.path("tool_choice"), body.reading());
  const std::string type = choice.required_string("type");
  contract.parallel_calls = !choice.boolean("disable_parallel_tool_use").value_or(false);
  if (type == "none") return false;
  if (type == "any" || type == "tool") contract.tools = ToolUse::kRequired;
  if (type == "tool") {
    contract.tool = choice.required_string("name");
  } else if (type != "any" && type != "auto") {
    choice.refuse("type", "auto, any, tool or none");
  }
  return true;
}

void read_output_format(Fields& holder, std::string_view key, AnthropicPrompt& out) {
  const Json* object = holder.object(key);
  if (!object) return;
  if (out.contract.form.kind != AnswerForm::Kind::kText)
    holder.refuse(key, "none, as output_config.format says what the answer has to be");
  Fields format(*object, holder.path(key), holder.reading());
  out.contract.form = read_format(format, false, out.conversation.response_format);
}

Effort read_effort(Fields& body, Effort fallback, AnthropicPrompt& out) {
  const Json* object = body.object("output_config");
  if (!object) return fallback;
  Fields config(*object, body.path("output_config"), body.reading());
  read_output_format(config, "format", out);
  const auto name = config.string("effort");
  if (!name) return fallback;
  const auto effort = effort_from_name(*name);
  if (!effort) config.refuse("effort", "low, medium, high, xhigh or max");
  return effort.value_or(fallback);
}

void read_thinking(Fields& body, const Defaults& defaults, AnthropicPrompt& out) {
  const Json* object = body.object("thinking");
  out.conversation.effort = read_effort(body, object ? Effort::kHigh : defaults.effort, out);
  if (!object) return;
  Fields thinking(*object, body.path("thinking"), body.reading());
  const std::string type = thinking.required_string("type");
  if (type == "disabled") {
    out.conversation.effort = Effort::kNone;
  } else if (type != "enabled" && type != "adaptive") {
    thinking.refuse("type", "enabled, adaptive or disabled");
  }
  const auto budget = thinking.integer("budget_tokens", 0, std::numeric_limits<int>::max());
  if (budget && type == "enabled") out.max_reasoning = static_cast<int>(*budget);
  const std::string display = thinking.string("display").value_or("summarized");
  out.show_thinking = display != "omitted";
  if (out.show_thinking && display != "summarized") {
    thinking.refuse("display", "summarized or omitted");
  }
}

// Old thinking is dropped or kept as the model was trained; nothing else is edited here.
void read_context_management(Fields& body) {
  const Json* object = body.object("context_management");
  if (!object) return;
  Fields management(*object, body.path("context_management"), body.reading());
  const Json* edits = management.array("edits");
  if (!edits) return;
  for (std::size_t i = 0; i < edits->items().size(); ++i) {
    Fields edit(edits->items()[i], str(management.path("edits"), "[", i, "]"), body.reading());
    edit.unsupported("type", "conversations are not edited", "\"clear_thinking_20251015\"");
    edit.pass("keep");
  }
}

}  // namespace

AnthropicPrompt read_anthropic_prompt(Fields& body, const Defaults& defaults) {
  AnthropicPrompt prompt;
  prompt.conversation.messages = read_turns(body);
  prompt.conversation.tools = read_tools(body);
  if (!read_tool_choice(body, prompt.contract)) prompt.conversation.tools.clear();
  prompt.calls = !prompt.conversation.tools.empty();
  read_thinking(body, defaults, prompt);
  read_context_management(body);
  body.pass("cache_control");
  read_output_format(body, "output_format", prompt);
  body.unsupported("container", "there are no containers", "{}");
  body.unsupported("mcp_servers", "this server calls no other servers", "[]");
  body.unsupported("inference_geo", "the place cannot be chosen", "\"\"");
  body.unsupported("thread", "conversations are not kept");
  body.unsupported("compaction", "conversations are not edited");
  return prompt;
}

}  // namespace plumb::wire
