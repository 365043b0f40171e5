// The commands of a chat: lines that begin with a slash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace plumb {

enum class ChatVerb : std::uint8_t {
  kHelp,
  kThink,
  kSystem,
  kClear,
  kUndo,
  kRetry,
  kSave,
  kLoad,
  kStats,
  kQuit,
};

struct ChatCommand {
  ChatVerb verb = ChatVerb::kHelp;
  std::string argument;  // without surrounding blanks
};

// nullopt: not a command but something to say. "//" at the start says a text that begins with a
// slash. kInvalid names a command that does not exist, or an argument that is missing.
Result<std::optional<ChatCommand>> parse_chat_command(std::string_view line);
// The text to say, for a line that is no command.
std::string_view spoken_text(std::string_view line);

// What /help prints.
std::string chat_help();

}  // namespace plumb
