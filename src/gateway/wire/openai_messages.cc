#include "gateway/wire/openai_messages.h"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "base/strings.h"

namespace plumb::wire {
namespace {

using Kind = ContentPart::Kind;

constexpr std::string_view kUnsupportedValue = "unsupported_value";
constexpr std::size_t kLongestName = 128;

std::optional<Role> read_role(Fields& fields) {
  const std::string name = fields.required_string("role");
  for (const Role role : {Role::kSystem, Role::kDeveloper, Role::kUser, Role::kAssistant,
                          Role::kTool, Role::kLatestReminder}) {
    if (role_name(role) == name) return role;
  }
  fields.refuse("role", "system, developer, user, assistant, tool or latest_reminder");
  return std::nullopt;
}

Kind kind_of(std::string_view type) {
  if (type == "image_url") return Kind::kImage;
  return type == "file" ? Kind::kDocument : Kind::kOther;
}

void read_part(const Json& value, std::string where, Role role, Reading& reading,
               std::vector<ContentPart>& out) {
  Fields part(value, std::move(where), reading);
  std::string type = part.required_string("type");
  if (!reading.ok()) return;
  if (type == "text") {
    out.push_back(ContentPart::of_text(part.required_string("text")));
    part.pass("cache_control");
  } else if (type == "refusal" && role == Role::kAssistant) {
    out.push_back(ContentPart::of_text(part.required_string("refusal")));
  } else if (role == Role::kTool) {
    part.pass_all();
    const Kind kind = kind_of(type);
    out.push_back({.kind = kind, .text = {}, .type_name = std::move(type)});
  } else {
    reading.refuse(part.path("type"),
                   str(part.path("type"), " is ", shown(Json::string(type)),
                       ", but this model reads text only; expected \"text\"."),
                   std::string(kUnsupportedValue));
  }
}

void read_content(Fields& fields, Message& message) {
  const Json* content = fields.get("content");
  if (!content) {
    // What the assistant said may have been a call, or nothing.
    if (message.role != Role::kAssistant) fields.refuse("content", "a string or an array of parts");
    return;
  }
  if (content->is_string()) {
    message.content.push_back(ContentPart::of_text(content->text()));
    return;
  }
  if (!content->is_array()) {
    fields.refuse("content", "a string or an array of parts");
    return;
  }
  const auto& parts = content->items();
  for (std::size_t i = 0; i < parts.size() && fields.reading().ok(); ++i) {
    read_part(parts[i], str(fields.path("content"), "[", i, "]"), message.role, fields.reading(),
              message.content);
  }
}

// The `function` of a call or a tool; nullptr after a refusal.
const Json* function_of(Fields& holder) {
  const auto type = holder.string("type");
  if (type && *type != "function") {
    holder.reading().refuse(
        holder.path("type"),
        str(holder.path("type"), " is ", shown(Json::string(*type)), ", expected \"function\"."),
        std::string(kUnsupportedValue));
    return nullptr;
  }
  const Json* function = holder.object("function");
  if (!function) holder.refuse("function", "an object");
  return holder.reading().ok() ? function : nullptr;
}

void read_call(const Json& value, std::string where, Reading& reading, std::vector<ToolCall>& out) {
  Fields fields(value, std::move(where), reading);
  ToolCall call;
  call.id = fields.string("id").value_or("");
  fields.pass("index");  // as pieces of a stream have it
  const Json* object = function_of(fields);
  if (!object) return;
  Fields function(*object, fields.path("function"), reading);
  call.name = function.required_string("name");
  if (reading.ok() && call.name.empty()) function.refuse("name", "the name of a function");
  const Json* arguments = function.get("arguments");
  if (!arguments || (arguments->is_string() && arguments->text().empty())) {
    call.arguments = "{}";  // as clients write a call without arguments
  } else if (arguments->is_string()) {
    call.arguments = arguments->text();
  } else if (arguments->is_object()) {
    call.arguments = arguments->dump();
  } else {
    function.refuse("arguments", "a string of JSON");
  }
  out.push_back(std::move(call));
}

void read_calls(Fields& fields, std::vector<ToolCall>& out) {
  const Json* calls = fields.array("tool_calls");
  if (!calls) return;
  for (std::size_t i = 0; i < calls->items().size() && fields.reading().ok(); ++i) {
    read_call(calls->items()[i], str(fields.path("tool_calls"), "[", i, "]"), fields.reading(),
              out);
  }
}

void read_assistant(Fields& fields, bool last, Message& message) {
  // A refusal is what the assistant said.
  if (auto refusal = fields.string("refusal"))
    message.content.push_back(ContentPart::of_text(*refusal));
  const auto reasoning = fields.string("reasoning");  // the name that vLLM and OpenRouter use
  const auto reasoning_content = fields.string("reasoning_content");
  message.reasoning = reasoning_content ? *reasoning_content : reasoning.value_or("");
  read_calls(fields, message.tool_calls);
  fields.pass("annotations");
  fields.unsupported("audio", "this model reads text only");
  fields.unsupported("function_call", "functions are offered as tools; use tool_calls");
  const bool prefix = fields.boolean("prefix").value_or(false);
  if (prefix && !last) fields.refuse("prefix", "it on the last message only");
}

void read_offers(Fields& fields, Message& message) {
  message.tools = read_tools(fields);
  if (const Json* format = fields.get("response_format")) message.response_format = format->dump();
}

Message read_message(const Json& value, std::string where, bool last, Reading& reading) {
  Fields fields(value, std::move(where), reading);
  Message message;
  const auto role = read_role(fields);
  if (!role) return message;
  message.role = *role;
  fields.pass("name");
  read_content(fields, message);
  if (*role == Role::kSystem || *role == Role::kDeveloper) read_offers(fields, message);
  if (*role == Role::kAssistant) read_assistant(fields, last, message);
  if (*role == Role::kTool) message.tool_call_id = fields.required_string("tool_call_id");
  message.task = fields.string("task");
  message.wo_eos = last && *role == Role::kAssistant && !message.task;
  if (message.wo_eos && !message.tool_calls.empty()) {
    reading.refuse(fields.path("tool_calls"),
                   str(fields.path("tool_calls"),
                       " ends the conversation, expected messages with the results after it."));
  }
  return message;
}

void read_tool(const Json& value, std::string where, Reading& reading, std::vector<ToolSpec>& out) {
  Fields fields(value, std::move(where), reading);
  const Json* object = function_of(fields);
  if (!object) return;
  Fields function(*object, fields.path("function"), reading);
  function.pass_all();  // the model reads all of it
  ToolSpec tool;
  tool.name = read_function_name(function);
  function.string("description");
  function.object("parameters");
  tool.strict = function.boolean("strict").value_or(false);
  tool.function_json = object->dump();
  out.push_back(std::move(tool));
}

}  // namespace

std::string read_function_name(Fields& function) {
  std::string name = function.required_string("name");
  constexpr std::string_view kOthers = "_-.:/";
  if (function.reading().ok() && !is_name(name, kOthers, kLongestName)) {
    function.refuse(
        "name", str("1 to ", kLongestName, " letters, digits and characters of \"", kOthers, "\""));
  }
  return name;
}

std::vector<ToolSpec> read_tools(Fields& holder) {
  std::vector<ToolSpec> tools;
  const Json* array = holder.array("tools");
  if (!array) return tools;
  for (std::size_t i = 0; i < array->items().size() && holder.reading().ok(); ++i)
    read_tool(array->items()[i], str(holder.path("tools"), "[", i, "]"), holder.reading(), tools);
  return tools;
}

std::vector<Message> read_messages(Fields& body, std::string_view key) {
  std::vector<Message> messages;
  const Json* array = body.array(key);
  if (!array || array->items().empty()) {
    body.refuse(key, "an array of messages, one at least");
    return messages;
  }
  const auto& items = array->items();
  for (std::size_t i = 0; i < items.size() && body.reading().ok(); ++i) {
    messages.push_back(read_message(items[i], str(body.path(key), "[", i, "]"),
                                    i + 1 == items.size(), body.reading()));
  }
  return messages;
}

}  // namespace plumb::wire
