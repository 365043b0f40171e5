#include "gateway/wire/anthropic_turns.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "gateway/wire/anthropic_signature.h"

namespace plumb::wire {
namespace {

// Calls take(block, type) for every block of an array, or text(string) for a string.
template <class Text, class Take>
void read_content(Fields& holder, std::string_view key, Text text, Take take) {
  const Json* content = holder.get(key);
  if (!content) return;
  if (content->is_string()) return text(content->text());
  if (!content->is_array()) return holder.refuse(key, "a string or an array of blocks");
  for (std::size_t i = 0; i < content->items().size(); ++i) {
    Fields block(content->items()[i], str(holder.path(key), "[", i, "]"), holder.reading());
    take(block, block.required_string("type"));
  }
}

std::string read_text(Fields& block) {
  block.pass("cache_control");
  block.pass("citations");
  return block.required_string("text");
}

// The file behind a part that the model cannot read is listed as ignored.
ContentPart unreadable_part(ContentPart::Kind kind, const std::string& type) {
  return {kind, "", type};
}

bool says_error(std::string_view text) {
  constexpr std::string_view kWord = "error";
  return text.size() >= kWord.size() &&
         std::equal(kWord.begin(), kWord.end(), text.begin(),
                    [](char a, char b) { return a == static_cast<char>(b | 0x20); });
}

// A failed call looks failed to the model, whatever the tool wrote.
void mark_error(std::vector<ContentPart>& content) {
  const bool has_text = !content.empty() && content.front().kind == ContentPart::Kind::kText;
  if (!has_text) {
    content.insert(content.begin(), ContentPart::of_text("Error"));
  } else if (!says_error(content.front().text)) {
    content.front().text.insert(0, "Error: ");
  }
}

Message read_tool_result(Fields& block) {
  block.pass("cache_control");
  block.pass("toolset_name");
  Message result;
  result.role = Role::kTool;
  result.tool_call_id = block.required_string("tool_use_id");
  read_content(
      block, "content",
      [&](const std::string& text) { result.content.push_back(ContentPart::of_text(text)); },
      [&](Fields& part, const std::string& type) {
        if (type == "text") {
          result.content.push_back(ContentPart::of_text(read_text(part)));
        } else if (type == "image") {
          result.content.push_back(unreadable_part(ContentPart::Kind::kImage, type));
        } else if (type == "document") {
          result.content.push_back(unreadable_part(ContentPart::Kind::kDocument, type));
        } else {
          part.refuse("type", "text, image or document");
        }
      });
  if (block.boolean("is_error").value_or(false)) mark_error(result.content);
  return result;
}

void read_user(Fields& message, std::vector<Message>& out) {
  bool open = false;  // the last of `out` is this message's own user turn
  const auto add_text = [&](std::string text) {
    if (!open) out.emplace_back();
    open = true;
    out.back().content.push_back(ContentPart::of_text(std::move(text)));
  };
  const std::size_t before = out.size();
  read_content(message, "content", add_text, [&](Fields& block, const std::string& type) {
    if (type == "text") {
      add_text(read_text(block));
    } else if (type == "tool_result") {
      out.push_back(read_tool_result(block));
      open = false;
    } else {
      block.refuse("type", "text or tool_result: this model reads text");
    }
  });
  if (out.size() == before) out.emplace_back();  // an empty turn is a turn
}

ToolCall read_tool_use(Fields& block) {
  for (const std::string_view key : {"cache_control", "caller", "toolset_name"}) block.pass(key);
  ToolCall call;
  call.id = block.required_string("id");
  call.name = block.required_string("name");
  if (call.name.empty()) block.refuse("name", "the name of a tool");
  const Json* input = block.object("input");
  if (!input) {
    block.refuse("input", "an object");
  } else {
    call.arguments = input->dump();
  }
  return call;
}

std::string read_thinking_block(Fields& block) {
  block.pass("cache_control");
  std::string thinking = block.required_string("thinking");
  const std::string signature = block.string("signature").value_or("");
  return thinking.empty() ? sealed_thinking(signature) : thinking;
}

void read_assistant(Fields& message, std::vector<Message>& out) {
  if (out.empty() || out.back().role != Role::kAssistant) {
    out.emplace_back();
    out.back().role = Role::kAssistant;
  }
  Message& turn = out.back();
  const auto add_text = [&](const std::string& text) {
    if (text.empty()) return;
    if (turn.content.empty()) turn.content.push_back(ContentPart::of_text(""));
    turn.content.back().text += text;
  };
  read_content(message, "content", add_text, [&](Fields& block, const std::string& type) {
    if (type == "text") {
      add_text(read_text(block));
    } else if (type == "thinking") {
      turn.reasoning += read_thinking_block(block);
    } else if (type == "tool_use") {
      turn.tool_calls.push_back(read_tool_use(block));
    } else if (type != "redacted_thinking") {  // whose data is listed as ignored
      block.refuse("type", "text, thinking, redacted_thinking or tool_use");
    }
  });
}

// Drops the line that serves accounting only.
std::string_view without_billing_line(std::string_view text, Reading& reading) {
  constexpr std::string_view kName = "x-anthropic-billing-header";
  if (!text.starts_with(kName) || text.compare(kName.size(), 1, ":") != 0) return text;
  reading.ignore(str("system.", kName));
  const std::size_t end = text.find('\n');
  return end == text.npos ? std::string_view() : text.substr(end + 1);
}

void read_system(Fields& holder, std::string_view key, std::vector<Message>& out) {
  Message message;
  message.role = Role::kSystem;
  const auto add_text = [&](const std::string& text) {
    const std::string_view kept = without_billing_line(text, holder.reading());
    if (!kept.empty()) message.content.push_back(ContentPart::of_text(std::string(kept)));
  };
  read_content(holder, key, add_text, [&](Fields& block, const std::string& type) {
    if (type == "text") return add_text(read_text(block));
    block.refuse("type", "text");
  });
  if (!message.content.empty()) out.push_back(std::move(message));
}

void read_message(Fields& message, std::vector<Message>& out) {
  const std::string role = message.required_string("role");
  if (!message.get("content")) message.refuse("content", "a string or an array of blocks");
  if (role == "user") {
    read_user(message, out);
  } else if (role == "assistant") {
    read_assistant(message, out);
  } else if (role == "system") {
    message.unsupported("clear_at", "system messages stay", "\"never\"");
    message.unsupported("output_config", "effort is one for the whole request");
    read_system(message, "content", out);
  } else {
    message.refuse("role", "user, assistant or system");
  }
}

// The reply continues a last assistant message; an empty one only says that it is the model's turn.
void leave_open(std::vector<Message>& turns, std::size_t last, Reading& reading) {
  if (turns.empty() || turns.back().role != Role::kAssistant) return;
  Message& turn = turns.back();
  if (!turn.tool_calls.empty()) {
    const std::string where = str("messages[", last, "]");
    reading.refuse(where, str(where, " ends the conversation with the tool call ",
                              shown(Json::string(turn.tool_calls.back().id)),
                              ", expected its tool_result in a user message."));
  } else if (turn.content.empty() && turn.reasoning.empty()) {
    turns.pop_back();
  } else {
    turn.wo_eos = true;
  }
}

}  // namespace

std::vector<Message> read_turns(Fields& body) {
  std::vector<Message> turns;
  read_system(body, "system", turns);
  const Json* messages = body.array("messages");
  if (!messages || messages->items().empty()) {
    body.refuse("messages", "an array of at least one message");
    return turns;
  }
  for (std::size_t i = 0; i < messages->items().size(); ++i) {
    Fields message(messages->items()[i], str("messages[", i, "]"), body.reading());
    read_message(message, turns);
  }
  if (body.reading().ok()) leave_open(turns, messages->items().size() - 1, body.reading());
  return turns;
}

}  // namespace plumb::wire
