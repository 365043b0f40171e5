// plumb chat: a conversation with a model on the terminal, or line by line through a pipe.
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "apps/chat_loop.h"
#include "apps/chat_session.h"
#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/history_file.h"
#include "apps/line_source.h"
#include "apps/sampling_options.h"
#include "apps/stack.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/chat_json.h"

namespace plumb {
namespace {

constexpr std::uint64_t kLargestTools = std::uint64_t{16} << 20;

constexpr const char* kExamples =
    "Examples:\n"
    "  plumb chat                                     with the bundled model\n"
    "  plumb chat --model DIR --think high            with a model of yours that thinks first\n"
    "  plumb chat --system 'Answer in one sentence.'  told what to be\n"
    "  plumb chat --load trip.chat                    where /save trip.chat left off\n"
    "  plumb chat --seed 7 --temperature 0.6          the same answers every time\n"
    "  printf 'Hi!\\nWho are you?\\n' | plumb chat      each line is a turn\n"
    "\n"
    "In the chat, /help lists the commands. Ctrl-C stops an answer, Ctrl-D leaves.";

struct ChatOptions {
  StackOptions stack;
  SamplingOptions sampling;
  int max_tokens = -1;
  std::string system;
  std::string think = "none";
  std::string tools_file;
  std::string load_file;
  bool no_history = false;
  bool verbose = false;
};

// A JSON array of tools, each {"type": "function", "function": {...}} or the function alone.
Result<std::vector<ToolSpec>> read_tools(const std::string& file) {
  PLUMB_TRY(text, read_file(file, kLargestTools));
  PLUMB_TRY(tools, parse_json(text, file));
  Json wrapped = Json::object({{"messages", Json::array()}, {"tools", std::move(tools)}});
  auto conversation = conversation_from_json(wrapped);
  if (!conversation) {
    return Error{conversation.error().code, str(file, ": ", conversation.error().message)};
  }
  return std::move(conversation->tools);
}

Result<Conversation> starting_conversation(const ChatOptions& options) {
  Conversation start;
  start.effort = effort_from_name(options.think).value_or(Effort::kNone);
  if (!options.system.empty()) {
    start.messages.push_back(Message::of(Role::kSystem, options.system));
  }
  if (!options.tools_file.empty()) {
    PLUMB_TRY(tools, read_tools(options.tools_file));
    start.tools = std::move(tools);
  }
  return start;
}

// The editor needs a terminal at both ends. It comes before the engine's threads, because it looks
// at the locale.
std::unique_ptr<LineSource> open_source(bool terminal, HistoryFile& history) {
  if (terminal) {
    if (auto editor = make_line_editor(history.load())) return editor;
  }
  return make_plain_source(::isatty(STDIN_FILENO) != 0);
}

void greet(const Stack& stack) {
  std::fprintf(stderr, "%s\n",
               str(stack.name, ", ", stack.model->info().numerics.name(), " numerics, context ",
                   grouped(static_cast<std::uint64_t>(stack.context)),
                   " tokens. /help lists the commands; Ctrl-D leaves.")
                   .c_str());
}

Result<int> chat(const ChatOptions& options) {
  const bool interactive = ::isatty(STDIN_FILENO) != 0;
  const bool terminal = interactive && ::isatty(STDOUT_FILENO) != 0;
  // What is wrong with small files is said before a large model is loaded.
  PLUMB_TRY(start, starting_conversation(options));
  HistoryFile history(options.no_history || !terminal ? std::filesystem::path()
                                                      : default_history_path());
  const std::unique_ptr<LineSource> source = open_source(terminal, history);
  install_interrupt_counter();
  PLUMB_TRY(stack, open_stack(options.stack));
  if (!stack->format) return Error{Code::kUnsupported, stack->no_chat_reason};
  const ModelInfo& info = stack->engine->model();
  const SamplingParams sampling = with(stack->defaults, options.sampling);
  PLUMB_TRY_STATUS(sampling.validate(info.vocab));
  ChatSession session(
      {*stack->provider,
       *stack->engine,
       *stack->format,
       {info.fingerprint, stack->tokenizer->fingerprint(), info.numerics.id()},
       stack->context},
      {sampling, options.sampling.seed, options.max_tokens}, std::move(start));
  ChatLoop loop(session, *source, history, {interactive, options.verbose});
  if (interactive) greet(*stack);
  if (!options.load_file.empty()) PLUMB_TRY_STATUS(loop.load(options.load_file, true));
  return loop.run();
}

int run_chat(const ChatOptions& options) {
  const Result<int> status = chat(options);
  return status ? *status : fail(status.error());
}

}  // namespace

void add_chat(CLI::App& app, int& status) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model on the terminal.");
  command->footer(kExamples);
  command->add_option("--system", options->system, "What the model is told about its task");
  command->add_option("--think", options->think, "How much the model thinks before it answers")
      ->check(CLI::IsMember({"none", "high", "max"}))
      ->capture_default_str();
  command->add_option("--tools", options->tools_file,
                      "A JSON array of tools to offer; you type what they return");
  command->add_option("--load", options->load_file, "Go on with a chat kept by /save");
  add_sampling_options(*command, options->sampling);
  command->get_option("--seed")->description(
      "Makes answers repeatable (default: a new seed for every answer; /stats shows it)");
  command
      ->add_option("--max-tokens", options->max_tokens,
                   "Tokens of one answer at most (default: what the context leaves)")
      ->check(CLI::PositiveNumber);
  command->add_flag("--no-history", options->no_history, "Neither read nor keep what was typed");
  command->add_flag("--verbose", options->verbose, "Numbers after every answer, as /stats on");
  add_stack_options(*command, options->stack);
  command->callback([options, &status] { status = run_chat(*options); });
}

}  // namespace plumb
