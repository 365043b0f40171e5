// What a conversation is, before any model's format: the vocabulary of everything that chats.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace plumb {

enum class Role : unsigned char {
  kSystem,
  kDeveloper,
  kUser,
  kAssistant,
  kTool,
  kLatestReminder,
};

std::string_view role_name(Role role);  // as on the wire: "latest_reminder"

// How much the model thinks before it answers.
enum class Effort : unsigned char { kNone, kHigh, kMax };

// One piece of a message's content. Images and documents come with later issues' models; a format
// that cannot take a part says so by name.
struct ContentPart {
  enum class Kind : unsigned char { kText, kImage, kDocument, kOther };
  Kind kind = Kind::kText;
  std::string text;       // kText
  std::string type_name;  // as the client spelled it, for kOther and for messages
  static ContentPart of_text(std::string text);
  bool operator==(const ContentPart&) const = default;
};

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text, exactly as the model (or client) wrote it
  bool operator==(const ToolCall&) const = default;
};

// A callable tool: the OpenAI `function` object (name, description, parameters, ...) as raw JSON
// text, key order kept.
struct ToolSpec {
  std::string name;
  std::string function_json;
  bool strict = false;  // arguments keep the whole schema, or the request is refused
  bool operator==(const ToolSpec&) const = default;
};

struct Message {
  Role role = Role::kUser;
  std::vector<ContentPart> content;
  std::string reasoning;                       // assistant only
  std::vector<ToolCall> tool_calls;            // assistant only
  std::string tool_call_id;                    // tool only
  std::vector<ToolSpec> tools;                 // system and developer: tools offered from here on
  std::optional<std::string> response_format;  // system and developer: JSON Schema text
  std::optional<std::string> task;  // quick task: action, query, authority, domain, title, read_url
  bool wo_eos = false;              // assistant: leave the turn open (prefill)

  // All text parts joined by a blank line.
  std::string text() const;
  static Message of(Role role, std::string text);
  bool operator==(const Message&) const = default;
};

struct Conversation {
  std::vector<Message> messages;
  std::vector<ToolSpec> tools;  // request-level: attached to the leading system/developer message
  Effort effort = Effort::kNone;
  bool drop_old_reasoning = true;
  std::optional<std::string> response_format;  // request-level JSON Schema text
  bool operator==(const Conversation&) const = default;
};

// One step of a reply as it is written.
struct ReasoningDelta {
  std::string text;
};
struct ContentDelta {
  std::string text;
};
// `id` and `name` come with the first delta of a call; `arguments` is the next fragment. Joined,
// the fragments of a finished call are a JSON object; those of a call that was cut off or malformed
// never are valid JSON (ReplyParser::unfinished_calls() lists them), so it cannot be run by
// mistake.
struct ToolCallDelta {
  int index = 0;
  std::string id, name, arguments;
};
using ReplyDelta = std::variant<ReasoningDelta, ContentDelta, ToolCallDelta>;

}  // namespace plumb
