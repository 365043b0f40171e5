#include "text/chat.h"

#include <utility>

namespace plumb {

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kDeveloper:
      return "developer";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
    case Role::kLatestReminder:
      return "latest_reminder";
  }
  return "unknown";
}

std::string Message::text() const {
  std::string joined;
  bool first = true;
  for (const ContentPart& part : content) {
    if (part.kind != ContentPart::Kind::kText) continue;
    if (!first) joined += "\n\n";
    joined += part.text;
    first = false;
  }
  return joined;
}

ContentPart ContentPart::of_text(std::string text) {
  return {.kind = Kind::kText, .text = std::move(text), .type_name = "text"};
}

Message Message::of(Role role, std::string text) {
  Message message;
  message.role = role;
  message.content.push_back(ContentPart::of_text(std::move(text)));
  return message;
}

}  // namespace plumb
