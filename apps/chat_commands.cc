#include "apps/chat_commands.h"

#include "base/strings.h"

namespace plumb {
namespace {

enum class Argument : std::uint8_t { kNone, kOptional, kNeeded };

struct Entry {
  std::string_view name;
  ChatVerb verb;
  Argument argument;
  std::string_view usage;
  std::string_view help;
};

constexpr Entry kCommands[] = {
    {"help", ChatVerb::kHelp, Argument::kNone, "/help", "this list"},
    {"think", ChatVerb::kThink, Argument::kOptional, "/think [none|high|max]",
     "how much the model thinks before it answers"},
    {"system", ChatVerb::kSystem, Argument::kOptional, "/system [TEXT|off]",
     "what the model is told about its task, from the start"},
    {"clear", ChatVerb::kClear, Argument::kNone, "/clear", "begin anew; the system text stays"},
    {"undo", ChatVerb::kUndo, Argument::kNone, "/undo",
     "take the last question and its answer back"},
    {"retry", ChatVerb::kRetry, Argument::kOptional, "/retry [SEED]",
     "answer the last question again"},
    {"save", ChatVerb::kSave, Argument::kNeeded, "/save FILE",
     "keep the conversation and the model's state in a file"},
    {"load", ChatVerb::kLoad, Argument::kNeeded, "/load [--text] FILE",
     "go on with a saved chat; --text: only its conversation"},
    {"stats", ChatVerb::kStats, Argument::kOptional, "/stats [on|off]",
     "tokens, speed, seed of the last answer; on: after every answer"},
    {"quit", ChatVerb::kQuit, Argument::kNone, "/quit", "leave (so does Ctrl-D)"},
    {"exit", ChatVerb::kQuit, Argument::kNone, "", ""},
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

Result<std::optional<ChatCommand>> parse_chat_command(std::string_view line) {
  if (!line.starts_with('/') || line.starts_with("//")) return std::optional<ChatCommand>();
  const std::size_t end = line.find_first_of(" \t");
  const std::string_view name = line.substr(1, end == line.npos ? line.npos : end - 1);
  const std::string_view argument = end == line.npos ? "" : trimmed(line.substr(end));
  for (const Entry& entry : kCommands) {
    if (entry.name != name) continue;
    if (entry.argument == Argument::kNeeded && argument.empty()) {
      return Error{Code::kInvalid, str("/", name, " needs the name of a file: ", entry.usage, ".")};
    }
    if (entry.argument == Argument::kNone && !argument.empty()) {
      return Error{Code::kInvalid,
                   str("/", name, " takes nothing after it, not \"", argument, "\".")};
    }
    return std::optional(ChatCommand{entry.verb, std::string(argument)});
  }
  return Error{Code::kInvalid, str("There is no command /", name,
                                   "; /help lists them. To say a text that begins with a slash, "
                                   "begin it with two.")};
}

std::string_view spoken_text(std::string_view line) {
  return line.starts_with("//") ? line.substr(1) : line;
}

std::string chat_help() {
  std::string out;
  for (const Entry& entry : kCommands) {
    if (entry.usage.empty()) continue;
    out += str("  ", entry.usage, std::string(24 - entry.usage.size(), ' '), entry.help, "\n");
  }
  out +=
      "\n"
      "A line that ends in a backslash goes on in the next; \"\"\" begins and ends a block of "
      "lines;\n"
      "several lines pasted at once are one message. Ctrl-C stops an answer, Ctrl-D leaves.\n"
      "The number in the prompt says how much of the context the conversation fills.\n";
  return out;
}

}  // namespace plumb
