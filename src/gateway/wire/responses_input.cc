#include "gateway/wire/responses_input.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "gateway/wire/responses_reasoning.h"

namespace plumb::wire {
namespace {

using Types = std::initializer_list<std::string_view>;

bool among(std::string_view type, Types types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

void append_text(std::string& to, const std::string& text) {
  if (!to.empty() && !text.empty()) to += "\n\n";
  to += text;
}

// The text of one content part of one of `types`.
std::string read_part(const Json& json, std::string where, Types types, Reading& reading) {
  Fields part(json, std::move(where), reading);
  const std::string type = part.required_string("type");
  if (among(type, {"input_image", "input_file", "input_audio", "input_video"})) {
    part.unsupported("type", "this model reads text only");
    return {};
  }
  if (!among(type, types)) {
    std::string expected;
    for (const std::string_view name : types) expected += str(expected.empty() ? "" : " or ", name);
    part.refuse("type", expected);
    return {};
  }
  for (const std::string_view key : {"annotations", "logprobs"}) part.pass(key);
  return part.required_string(type == "refusal" ? "refusal" : "text");
}

std::vector<std::string> read_parts(Fields& item, std::string_view key, const Json& array,
                                    Types types) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < array.items().size() && item.reading().ok(); ++i) {
    texts.push_back(
        read_part(array.items()[i], str(item.path(key), "[", i, "]"), types, item.reading()));
  }
  return texts;
}

// A string, or an array of parts.
std::vector<ContentPart> read_content(Fields& item, std::string_view key, Types types) {
  const Json* value = item.required(key);
  std::vector<ContentPart> content;
  if (!value) return content;
  if (value->is_string()) {
    content.push_back(ContentPart::of_text(value->text()));
  } else if (value->is_array()) {
    for (std::string& text : read_parts(item, key, *value, types))
      content.push_back(ContentPart::of_text(std::move(text)));
  } else {
    item.refuse(key, "a string or an array of parts");
  }
  return content;
}

// Thread-compatible; lives while one input is read.
class InputReader {
 public:
  void read(const Json& json, const std::string& where, Reading& reading) {
    Fields item(json, where, reading);
    const auto type = item.string("type");
    for (const std::string_view key : {"id", "status", "phase"}) item.pass(key);
    if (type ? *type == "message" : json.find("role") != nullptr) {
      read_message(item);
    } else if (type ? *type == "item_reference" : json.find("id") != nullptr) {
      reading.refuse(where,
                     str(where, " refers to ", shown(json),
                         ", but items are not stored; send the item itself."),
                     "unsupported_value");
    } else if (!type) {
      item.refuse("type", "message, reasoning, function_call or function_call_output");
    } else if (*type == "reasoning") {
      read_reasoning(item);
    } else if (*type == "function_call") {
      read_call(item);
    } else if (*type == "function_call_output") {
      read_output(item);
    } else {
      item.unsupported("type",
                       "items are message, reasoning, function_call or function_call_output");
    }
  }

  std::vector<Message> finish(std::optional<std::string> instructions) && {
    // Instructions alone ask for an answer, too: then the last of them is what is answered.
    const auto leads = [](const Message& message) { return message.role == Role::kDeveloper; };
    auto end = std::find_if_not(messages_.begin(), messages_.end(), leads);
    if (end == messages_.end() && end != messages_.begin()) --end;
    Message system;
    system.role = Role::kSystem;
    if (instructions && !instructions->empty())
      system.content.push_back(ContentPart::of_text(std::move(*instructions)));
    for (auto it = messages_.begin(); it != end; ++it) {
      std::move(it->content.begin(), it->content.end(), std::back_inserter(system.content));
    }
    messages_.erase(messages_.begin(), end);
    if (!system.content.empty()) messages_.insert(messages_.begin(), std::move(system));
    return std::move(messages_);
  }

 private:
  void read_message(Fields& item) {
    const std::string role = item.required_string("role");
    if (!among(role, {"user", "system", "developer", "assistant"})) {
      item.refuse("role", "user, system, developer or assistant");
      return;
    }
    auto content = read_content(item, "content", {"input_text", "output_text", "refusal"});
    if (role != "assistant") {
      Message& message = messages_.emplace_back();
      message.role = role == "user" ? Role::kUser : Role::kDeveloper;
      message.content = std::move(content);
      return;
    }
    for (ContentPart& part : content) {
      if (!part.text.empty()) assistant().content.push_back(std::move(part));
    }
  }

  void read_reasoning(Fields& item) {
    std::string text, summary;
    if (const Json* parts = item.array("content")) {
      for (const auto& part : read_parts(item, "content", *parts, {"reasoning_text", "text"}))
        append_text(text, part);
    }
    if (const Json* parts = item.array("summary")) {
      for (const auto& part : read_parts(item, "summary", *parts, {"summary_text"}))
        append_text(summary, part);
    }
    const auto packed = item.string("encrypted_content");
    if (text.empty() && packed) {
      const auto unpacked = unpack_reasoning(*packed);
      if (unpacked) text = *unpacked;
      if (!unpacked) item.reading().ignore("input[].encrypted_content");
    }
    if (text.empty()) text = summary;
    if (!text.empty()) append_text(assistant().reasoning, text);
  }

  void read_call(Fields& item) {
    ToolCall call;
    call.id = item.required_string("call_id");
    call.name = item.required_string("name");
    call.arguments = item.required_string("arguments");
    if (call.name.empty()) item.refuse("name", "the name of a function");
    assistant().tool_calls.push_back(std::move(call));
  }

  void read_output(Fields& item) {
    Message& message = messages_.emplace_back();
    message.role = Role::kTool;
    message.tool_call_id = item.required_string("call_id");
    message.content = read_content(item, "output", {"input_text"});
  }

  // The turn that the assistant is in.
  Message& assistant() {
    if (messages_.empty() || messages_.back().role != Role::kAssistant)
      messages_.emplace_back().role = Role::kAssistant;
    return messages_.back();
  }

  std::vector<Message> messages_;  // instructions, wherever they are, as developer messages
};

}  // namespace

std::vector<Message> read_responses_input(Fields& body) {
  InputReader reader;
  auto instructions = body.string("instructions");
  const Json* input = body.required("input");
  if (input && input->is_string()) {
    reader.read(Json::object({{"role", Json::string("user")}, {"content", *input}}), "input",
                body.reading());
  } else if (input && input->is_array()) {
    for (std::size_t i = 0; i < input->items().size() && body.reading().ok(); ++i)
      reader.read(input->items()[i], str("input[", i, "]"), body.reading());
  } else if (input) {
    body.refuse("input", "a string or an array of items");
  }
  std::vector<Message> messages = std::move(reader).finish(std::move(instructions));
  const bool asks = !messages.empty() && messages.back().role != Role::kSystem;
  if (body.reading().ok() && !asks) {
    body.refuse("input", "at least one message");
  } else if (body.reading().ok() && messages.back().role == Role::kAssistant) {
    body.reading().refuse("input",
                          "input ends with what the assistant wrote, expected a message or a "
                          "function_call_output that it can answer.");
  }
  return messages;
}

}  // namespace plumb::wire
