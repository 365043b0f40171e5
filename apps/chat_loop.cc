#include "apps/chat_loop.h"

#include <charconv>
#include <cstdio>
#include <utility>

#include "apps/exit_code.h"
#include "base/interrupt.h"
#include "base/strings.h"
#include "text/chat_json.h"

namespace plumb {
namespace {

constexpr std::string_view kTextOnly = "--text";

std::string count_text(Pos value) { return grouped(static_cast<std::uint64_t>(value)); }

std::string one_decimal(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f", value);
  return buffer;
}

std::string trimmed_front(std::string text) {
  text.erase(0, std::min(text.find_first_not_of(" \t"), text.size()));
  return text;
}

}  // namespace

ChatLoop::ChatLoop(ChatSession& session, LineSource& source, HistoryFile& history,
                   ChatLoopOptions options)
    : session_(session),
      source_(source),
      history_(history),
      options_(options),
      view_(stdout, style_of(stdout)) {}

void ChatLoop::say(const std::string& sentence) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s\n", sentence.c_str());
}

// A person reads the sentence and goes on; for a script the first failure decides the exit status.
void ChatLoop::complain(const Error& error) {
  say(options_.interactive ? error.message : "plumb: " + error.message);
  const bool lost = error.code == Code::kInternal || error.code == Code::kUnavailable;
  if (status_ == kExitOk && (lost || !options_.interactive)) status_ = exit_code(error.code);
}

std::string ChatLoop::prompt() const {
  return str(count_text(session_.tokens()), "/", count_text(session_.context()), " > ");
}

int ChatLoop::run() {
  for (;;) {
    clear_interrupts();
    const Entry entry = read_entry(source_, prompt());
    if (entry.kind == Line::Kind::kEnd) return status_;
    if (entry.kind == Line::Kind::kInterrupted) {
      if (!options_.interactive) return kExitInterrupted;
      if (!entry.discarded) say("To leave, type /quit or press Ctrl-D.");
      continue;
    }
    if (take(entry) == Next::kLeave) return status_;
    // An engine that has failed answers nothing any more; a script that was stopped, stops.
    if (status_ == kExitInternal || status_ == kExitInterrupted) return status_;
  }
}

ChatLoop::Next ChatLoop::take(const Entry& entry) {
  if (entry.text.find_first_not_of(" \t\n") == std::string::npos) return Next::kGoOn;
  if (options_.interactive) {
    source_.remember(entry.text);
    history_.append(entry.text);
  }
  if (entry.literal) {
    converse(session_.say(entry.text, watch()));
    return Next::kGoOn;
  }
  const auto command = parse_chat_command(entry.text);
  if (!command) {
    complain(command.error());
    return Next::kGoOn;
  }
  if (*command) return obey(**command);
  converse(session_.say(std::string(spoken_text(entry.text)), watch()));
  return Next::kGoOn;
}

ChatLoop::Next ChatLoop::obey(const ChatCommand& command) {
  switch (command.verb) {
    case ChatVerb::kHelp:
      std::fputs(chat_help().c_str(), stderr);
      break;
    case ChatVerb::kThink:
      think(command.argument);
      break;
    case ChatVerb::kSystem:
      system(command.argument);
      break;
    case ChatVerb::kClear:
      session_.clear();
      say("The conversation is empty.");
      break;
    case ChatVerb::kUndo:
      say(session_.undo() ? "The last question and its answer are taken back."
                          : "There is nothing to take back.");
      break;
    case ChatVerb::kRetry:
      retry(command.argument);
      break;
    case ChatVerb::kSave:
      save(command.argument);
      break;
    case ChatVerb::kLoad:
      load_command(command.argument);
      break;
    case ChatVerb::kStats:
      stats(command.argument);
      break;
    case ChatVerb::kQuit:
      return Next::kLeave;
  }
  return Next::kGoOn;
}

void ChatLoop::think(const std::string& argument) {
  if (!argument.empty()) {
    const auto effort = effort_from_name(argument);
    if (!effort) {
      complain({Code::kInvalid, str("/think takes none, high or max, not \"", argument, "\".")});
      return;
    }
    session_.set_effort(*effort);
  }
  say(str("Thinking: ", effort_name(session_.conversation().effort), "."));
}

void ChatLoop::system(const std::string& argument) {
  if (!argument.empty()) session_.set_system(argument == "off" ? std::string() : argument);
  const std::string text = session_.system();
  say(text.empty() ? "There is no system text." : "System text: " + text);
}

void ChatLoop::stats(const std::string& argument) {
  if (argument == "on" || argument == "off") {
    options_.stats = argument == "on";
    say(options_.stats ? "Numbers follow every answer." : "No numbers after answers.");
    return;
  }
  if (!argument.empty()) {
    complain({Code::kInvalid, str("/stats takes on or off, not \"", argument, "\".")});
    return;
  }
  say(str("The conversation has ", count_text(session_.tokens()), " tokens; the context holds ",
          count_text(session_.context()), "."));
  say(last_ ? stats_text(*last_) : "There was no answer yet.");
}

void ChatLoop::retry(const std::string& argument) {
  std::optional<std::uint64_t> seed;
  if (!argument.empty()) {
    std::uint64_t value = 0;
    const char* end = argument.data() + argument.size();
    const auto [stop, error] = std::from_chars(argument.data(), end, value);
    if (error != std::errc() || stop != end) {
      complain({Code::kInvalid,
                str("/retry takes a seed (a number from 0 on), not \"", argument, "\".")});
      return;
    }
    seed = value;
  }
  converse(session_.retry(seed, watch()));
}

void ChatLoop::save(const std::string& argument) {
  const auto size = session_.save(argument, watch());
  end_progress();
  if (!size) return complain(size.error());
  say(str("Saved ", argument, ": ", bytes_text(*size), ", ",
          session_.conversation().messages.size(), " messages and the model's state."));
}

Status ChatLoop::load(const std::string& file, bool with_state) {
  PLUMB_TRY(report, session_.load(file, with_state));
  last_.reset();
  say(str("Loaded ", file, ": ", report.messages, " messages, ", count_text(report.tokens),
          " tokens; ", count_text(report.to_read), " of them have to be read again."));
  return {};
}

void ChatLoop::load_command(const std::string& argument) {
  const bool text_only = argument.starts_with(str(kTextOnly, " "));
  const std::string file = text_only ? trimmed_front(argument.substr(kTextOnly.size())) : argument;
  const Status loaded = load(file, !text_only);
  if (!loaded) complain(loaded.error());
}

Watch ChatLoop::watch() {
  return [this](const ChatEvent& event) { see(event); };
}

void ChatLoop::see(const ChatEvent& event) {
  if (const auto* progress = std::get_if<PromptProgress>(&event)) {
    if (!progress_) {
      progress_from_ = progress->done;
      progress_ = std::make_unique<Progress>(
          "Reading", static_cast<std::uint64_t>(progress->total - progress_from_),
          ProgressUnit{"tokens", false}, progress_style_for(stderr));
    } else {
      progress_->update(static_cast<std::uint64_t>(progress->done - progress_from_));
    }
    return;
  }
  end_progress();
  if (const auto* delta = std::get_if<ReplyDelta>(&event)) view_.show(*delta);
}

void ChatLoop::end_progress() { progress_.reset(); }

void ChatLoop::converse(Result<AnswerReport> report) {
  for (;;) {
    end_progress();
    view_.end();
    if (!report) return complain(report.error());
    conclude(*report);
    if (report->calls.empty() || report->stopped || report->full) return;
    auto results = ask_results(report->calls);
    if (!results) {
      say("No result was given; the call stays in the conversation. /undo takes it back.");
      return;
    }
    report = session_.give_results(std::move(*results), watch());
  }
}

std::optional<std::vector<Message>> ChatLoop::ask_results(const std::vector<ToolCall>& calls) {
  std::vector<Message> results;
  for (const ToolCall& call : calls) {
    clear_interrupts();
    Entry entry = read_entry(source_, str("tool result for ", harmless(call.name), "> "));
    if (entry.kind != Line::Kind::kText) return std::nullopt;
    Message result = Message::of(Role::kTool, std::move(entry.text));
    result.tool_call_id = call.id;
    results.push_back(std::move(result));
  }
  return results;
}

void ChatLoop::conclude(const AnswerReport& report) {
  last_ = LastAnswer{report.finish.usage, report.seed};
  if (report.stopped && !report.kept) {
    say("(stopped before the answer began: the question is taken back; the arrow up brings it to "
        "the prompt)");
  } else if (report.stopped) {
    say("(stopped)");
  } else if (report.full) {
    const Usage& usage = report.finish.usage;
    say(str("The answer ends here because the context is full: ",
            count_text(usage.prompt + usage.completion), " of ", count_text(session_.context()),
            " tokens. /undo takes the last exchange back, /clear begins anew."));
  } else if (report.finish.reason == FinishReason::kLength) {
    say("(stopped at --max-tokens)");
  }
  if (report.stopped && !options_.interactive) status_ = kExitInterrupted;
  if (report.finish.usage.completion == 0 && !report.stopped && !report.full) {
    say("(the model ended its answer before it began; /retry asks again)");
  }
  if (report.finish.lost_markup && !report.stopped) {
    say("(the model's markup broke off; what could not be read was left out)");
  }
  if (options_.stats) say(stats_text(*last_));
}

std::string ChatLoop::stats_text(const LastAnswer& answer) const {
  const Usage& usage = answer.usage;
  const double share = usage.prompt > 0 ? 100.0 * usage.cached / usage.prompt : 0;
  std::string out = str("Read ", count_text(usage.prompt - usage.cached), " of ",
                        count_text(usage.prompt), " tokens (", static_cast<int>(share),
                        "% were in memory) in ", duration_text(usage.prompt_ms / 1000));
  out += str("; wrote ", count_text(usage.completion));
  // The first token comes with the prompt's last step.
  if (usage.completion > 1 && usage.decode_ms > 0) {
    out += str(" at ", one_decimal(1000.0 * (usage.completion - 1) / usage.decode_ms), " tokens/s");
  }
  if (usage.reasoning > 0) out += str(", ", count_text(usage.reasoning), " of them thinking");
  if (usage.drafted > 0) {
    out += str("; drafted ", count_text(usage.drafted), ", ", count_text(usage.accepted), " right");
  }
  return out + str("; seed ", answer.seed, ".");
}

}  // namespace plumb
