#include "text/chat_json.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "base/strings.h"

namespace plumb {
namespace {

using Kind = Json::Kind;

std::string_view kind_name(const Json& value) {
  switch (value.kind()) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return "a boolean";
    case Kind::kNumber:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kArray:
      return "an array";
    case Kind::kObject:
      return "an object";
  }
  return "unknown";
}

Error expected(std::string_view where, const Json& got, std::string_view what) {
  return Error{Code::kInvalid, str(where, " is ", kind_name(got), "; expected ", what, ".")};
}

// `key` of an object, where present and not null.
const Json* get(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value && !value->is_null() ? value : nullptr;
}

Status check_keys(const Json& object, std::string_view where,
                  std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.members()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return Error{Code::kInvalid, str(where, " has the unknown key \"", key, "\".")};
  }
  return {};
}

Status read_string(const Json& object, std::string_view key, std::string_view where,
                   std::string& out) {
  const Json* value = get(object, key);
  if (!value) return {};
  if (!value->is_string()) return expected(str(where, ".", key), *value, "a string");
  out = value->text();
  return {};
}

Status read_bool(const Json& object, std::string_view key, std::string_view where, bool& out) {
  const Json* value = get(object, key);
  if (!value) return {};
  if (!value->is_bool()) return expected(str(where, ".", key), *value, "true or false");
  out = *value->as_bool();
  return {};
}

std::optional<Role> role_from_name(std::string_view name) {
  for (const Role role : {Role::kSystem, Role::kDeveloper, Role::kUser, Role::kAssistant,
                          Role::kTool, Role::kLatestReminder}) {
    if (role_name(role) == name) return role;
  }
  return std::nullopt;
}

Status read_part(const Json& value, const std::string& where, std::vector<ContentPart>& out) {
  if (!value.is_object()) return expected(where, value, "an object with a type");
  ContentPart part;
  PLUMB_TRY_STATUS(read_string(value, "type", where, part.type_name));
  if (part.type_name.empty()) {
    return Error{Code::kInvalid, str(where, " has no type; expected for example \"text\".")};
  }
  if (part.type_name == "text") {
    PLUMB_TRY_STATUS(check_keys(value, where, {"type", "text", "cache_control"}));
    PLUMB_TRY_STATUS(read_string(value, "text", where, part.text));
  } else if (part.type_name == "image_url" || part.type_name == "input_image") {
    part.kind = ContentPart::Kind::kImage;
  } else if (part.type_name == "file" || part.type_name == "input_file") {
    part.kind = ContentPart::Kind::kDocument;
  } else {
    part.kind = ContentPart::Kind::kOther;
  }
  out.push_back(std::move(part));
  return {};
}

Status read_content(const Json& message, const std::string& where, std::vector<ContentPart>& out) {
  const Json* content = get(message, "content");
  if (!content) return {};
  if (content->is_string()) {
    out.push_back(ContentPart::of_text(content->text()));
    return {};
  }
  if (!content->is_array()) {
    return expected(where + ".content", *content, "a string or an array of parts");
  }
  for (std::size_t i = 0; i < content->items().size(); ++i) {
    PLUMB_TRY_STATUS(read_part(content->items()[i], str(where, ".content[", i, "]"), out));
  }
  return {};
}

// The `function` object of a tool or call, which must be of type function.
Result<const Json*> function_of(const Json& value, const std::string& where) {
  if (!value.is_object()) return expected(where, value, "an object with a function");
  std::string type = "function";
  PLUMB_TRY_STATUS(read_string(value, "type", where, type));
  if (type != "function") {
    return Error{Code::kUnsupported, str(where, ".type is \"", type, "\"; expected \"function\".")};
  }
  const Json* function = get(value, "function");
  if (!function || !function->is_object()) {
    return expected(where + ".function", function ? *function : Json(), "an object");
  }
  return function;
}

Status read_calls(const Json& message, const std::string& where, std::vector<ToolCall>& out) {
  const Json* calls = get(message, "tool_calls");
  if (!calls) return {};
  if (!calls->is_array()) return expected(where + ".tool_calls", *calls, "an array");
  for (std::size_t i = 0; i < calls->items().size(); ++i) {
    const std::string at = str(where, ".tool_calls[", i, "]");
    PLUMB_TRY(function, function_of(calls->items()[i], at));
    ToolCall call;
    PLUMB_TRY_STATUS(read_string(calls->items()[i], "id", at, call.id));
    PLUMB_TRY_STATUS(read_string(*function, "name", at + ".function", call.name));
    if (call.name.empty()) return Error{Code::kInvalid, at + ".function has no name."};
    const Json* arguments = get(*function, "arguments");
    if (arguments && arguments->is_string()) {
      call.arguments = arguments->text();
    } else if (arguments && arguments->is_object()) {
      call.arguments = arguments->dump();
    } else if (arguments) {
      return expected(at + ".function.arguments", *arguments, "a string of JSON");
    }
    out.push_back(std::move(call));
  }
  return {};
}

Status read_tools(const Json& holder, const std::string& where, std::vector<ToolSpec>& out) {
  const Json* tools = get(holder, "tools");
  if (!tools) return {};
  const std::string path = where.empty() ? "tools" : where + ".tools";
  if (!tools->is_array()) return expected(path, *tools, "an array");
  for (std::size_t i = 0; i < tools->items().size(); ++i) {
    const std::string at = str(path, "[", i, "]");
    PLUMB_TRY(function, function_of(tools->items()[i], at));
    ToolSpec tool;
    PLUMB_TRY_STATUS(read_string(*function, "name", at + ".function", tool.name));
    if (tool.name.empty()) return Error{Code::kInvalid, at + ".function has no name."};
    tool.function_json = function->dump();
    out.push_back(std::move(tool));
  }
  return {};
}

// The request's response_format, in the chat-completions spelling → the schema it asks for.
Status read_request_format(const Json& request, std::optional<std::string>& out) {
  const Json* format = get(request, "response_format");
  if (!format) return {};
  if (!format->is_object()) return expected("response_format", *format, "an object");
  std::string type;
  PLUMB_TRY_STATUS(read_string(*format, "type", "response_format", type));
  if (type == "text") return {};
  if (type == "json_object") {
    out = R"({"type":"object"})";
    return {};
  }
  if (type != "json_schema") {
    return Error{Code::kInvalid, str("response_format.type is \"", type,
                                     "\"; expected text, json_object or json_schema.")};
  }
  const Json* wrapper = get(*format, "json_schema");
  const Json* schema = wrapper ? get(*wrapper, "schema") : nullptr;
  if (!schema) return Error{Code::kInvalid, "response_format.json_schema has no schema."};
  out = schema->dump();
  return {};
}

Json tools_to_json(const std::vector<ToolSpec>& tools) {
  std::vector<Json> items;
  for (const ToolSpec& tool : tools) {
    const Result<Json> function = parse_json(tool.function_json, tool.name);
    items.push_back(Json::object(
        {{"type", Json::string("function")}, {"function", function ? *function : Json()}}));
  }
  return Json::array(std::move(items));
}

Json calls_to_json(const std::vector<ToolCall>& calls) {
  std::vector<Json> items;
  for (const ToolCall& call : calls) {
    Json item = Json::object();
    if (!call.id.empty()) item.set("id", Json::string(call.id));
    item.set("type", Json::string("function"));
    item.set("function", Json::object({{"name", Json::string(call.name)},
                                       {"arguments", Json::string(call.arguments)}}));
    items.push_back(std::move(item));
  }
  return Json::array(std::move(items));
}

Json content_to_json(const std::vector<ContentPart>& content) {
  if (content.size() == 1 && content.front().kind == ContentPart::Kind::kText) {
    return Json::string(content.front().text);
  }
  std::vector<Json> items;
  for (const ContentPart& part : content) {
    Json item = Json::object({{"type", Json::string(part.type_name)}});
    if (part.kind == ContentPart::Kind::kText) item.set("text", Json::string(part.text));
    items.push_back(std::move(item));
  }
  return Json::array(std::move(items));
}

Json parsed_or_null(const std::string& text) {
  const Result<Json> parsed = parse_json(text, "response format");
  return parsed ? *parsed : Json();
}

}  // namespace

Result<Json> parse_arguments(std::string_view arguments) {
  PLUMB_TRY(parsed, parse_json(arguments, "arguments", kArgumentLimits));
  if (!parsed.is_object()) return Error{Code::kInvalid, "The arguments are no object."};
  return std::move(parsed);
}

std::optional<Effort> effort_from_name(std::string_view name) {
  if (name == "none" || name == "minimal") return Effort::kNone;
  if (name == "low" || name == "medium" || name == "high") return Effort::kHigh;
  if (name == "xhigh" || name == "max") return Effort::kMax;
  return std::nullopt;
}

std::string_view effort_name(Effort effort) {
  switch (effort) {
    case Effort::kNone:
      return "none";
    case Effort::kHigh:
      return "high";
    case Effort::kMax:
      return "max";
  }
  return "unknown";
}

Result<Message> message_from_json(const Json& value, std::string_view path) {
  const std::string where(path);
  if (!value.is_object()) return expected(where, value, "an object with a role");
  PLUMB_TRY_STATUS(check_keys(value, where,
                              {"role", "content", "reasoning_content", "reasoning", "tool_calls",
                               "tool_call_id", "tools", "response_format", "task", "wo_eos", "name",
                               "mask", "id", "refusal", "annotations", "audio", "function_call"}));
  std::string role_text;
  PLUMB_TRY_STATUS(read_string(value, "role", where, role_text));
  const std::optional<Role> role = role_from_name(role_text);
  if (!role) {
    return Error{Code::kInvalid,
                 str(where, ".role is \"", role_text,
                     "\"; expected system, developer, user, assistant, tool or latest_reminder.")};
  }
  Message message;
  message.role = *role;
  PLUMB_TRY_STATUS(read_content(value, where, message.content));
  PLUMB_TRY_STATUS(read_string(value, "reasoning", where, message.reasoning));
  PLUMB_TRY_STATUS(read_string(value, "reasoning_content", where, message.reasoning));
  PLUMB_TRY_STATUS(read_calls(value, where, message.tool_calls));
  PLUMB_TRY_STATUS(read_string(value, "tool_call_id", where, message.tool_call_id));
  PLUMB_TRY_STATUS(read_tools(value, where, message.tools));
  PLUMB_TRY_STATUS(read_bool(value, "wo_eos", where, message.wo_eos));
  if (const Json* format = get(value, "response_format")) message.response_format = format->dump();
  if (get(value, "task")) {
    PLUMB_TRY_STATUS(read_string(value, "task", where, message.task.emplace()));
  }
  return message;
}

Result<Conversation> conversation_from_json(const Json& value, Effort effort) {
  Conversation conversation;
  conversation.effort = effort;
  const Json* messages = &value;
  if (value.is_object()) {
    PLUMB_TRY_STATUS(
        check_keys(value, "The conversation",
                   {"messages", "tools", "response_format", "reasoning_effort", "drop_thinking"}));
    messages = value.find("messages");
    if (!messages) return Error{Code::kInvalid, "The conversation has no messages."};
    PLUMB_TRY_STATUS(read_tools(value, "", conversation.tools));
    PLUMB_TRY_STATUS(read_request_format(value, conversation.response_format));
    PLUMB_TRY_STATUS(
        read_bool(value, "drop_thinking", "The conversation", conversation.drop_old_reasoning));
    std::string name(effort_name(effort));
    PLUMB_TRY_STATUS(read_string(value, "reasoning_effort", "The conversation", name));
    const std::optional<Effort> named = effort_from_name(name);
    if (!named) {
      return Error{Code::kInvalid,
                   str("reasoning_effort is \"", name,
                       "\"; expected none, minimal, low, medium, high, xhigh or max.")};
    }
    conversation.effort = *named;
  }
  if (!messages->is_array()) return expected("messages", *messages, "an array of messages");
  for (std::size_t i = 0; i < messages->items().size(); ++i) {
    PLUMB_TRY(message, message_from_json(messages->items()[i], str("messages[", i, "]")));
    conversation.messages.push_back(std::move(message));
  }
  return conversation;
}

Json message_to_json(const Message& message) {
  Json out = Json::object({{"role", Json::string(std::string(role_name(message.role)))}});
  if (!message.content.empty()) out.set("content", content_to_json(message.content));
  if (!message.reasoning.empty()) out.set("reasoning_content", Json::string(message.reasoning));
  if (!message.tool_calls.empty()) out.set("tool_calls", calls_to_json(message.tool_calls));
  if (!message.tool_call_id.empty()) out.set("tool_call_id", Json::string(message.tool_call_id));
  if (!message.tools.empty()) out.set("tools", tools_to_json(message.tools));
  if (message.response_format) out.set("response_format", parsed_or_null(*message.response_format));
  if (message.task) out.set("task", Json::string(*message.task));
  if (message.wo_eos) out.set("wo_eos", Json::boolean(true));
  return out;
}

Json conversation_to_json(const Conversation& conversation) {
  std::vector<Json> messages;
  for (const Message& message : conversation.messages) messages.push_back(message_to_json(message));
  Json out = Json::object({{"messages", Json::array(std::move(messages))}});
  if (!conversation.tools.empty()) out.set("tools", tools_to_json(conversation.tools));
  if (conversation.response_format) {
    out.set("response_format",
            Json::object(
                {{"type", Json::string("json_schema")},
                 {"json_schema",
                  Json::object({{"name", Json::string("reply")},
                                {"schema", parsed_or_null(*conversation.response_format)}})}}));
  }
  out.set("reasoning_effort", Json::string(std::string(effort_name(conversation.effort))));
  out.set("drop_thinking", Json::boolean(conversation.drop_old_reasoning));
  return out;
}

}  // namespace plumb
