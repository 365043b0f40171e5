// plumb generate: answers to one prompt or to a file of them.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/generate_json.h"
#include "apps/interrupt_stop.h"
#include "apps/sampling_options.h"
#include "apps/stack.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/strings.h"
#include "text/chat_json.h"

namespace plumb {
namespace {

constexpr std::size_t kMaxPromptBytes = std::size_t{64} << 20;

struct GenerateOptions {
  StackOptions stack;
  SamplingOptions sampling;
  std::optional<std::string> prompt;
  std::string file, lines, system;
  std::string think = "none";
  std::vector<std::string> stop;
  int max_tokens = -1;
  int logprobs = -1;
  int parallel = 8;
  bool raw = false, json = false, ignore_end = false, verbose = false;
};

// The argument, the file, or whatever is piped in.
Result<std::string> read_prompt(const GenerateOptions& options) {
  if (options.prompt && *options.prompt != "-") return *options.prompt;
  if (!options.file.empty() && options.file != "-") return read_file(options.file, kMaxPromptBytes);
  if (!options.prompt && options.file.empty() && isatty(STDIN_FILENO) != 0) {
    return Error{Code::kInvalid,
                 "There is no prompt: give one as the argument, with -f FILE, or through a pipe."};
  }
  PLUMB_TRY(text, read_file("/dev/stdin", kMaxPromptBytes));
  // The line end that `echo` and editors add is not part of a question.
  if (!options.raw && !text.empty() && text.back() == '\n') text.pop_back();
  if (text.empty()) return Error{Code::kInvalid, "The prompt that was piped in is empty."};
  return text;
}

ChatRequest defaults_of(const GenerateOptions& options, const Stack& stack) {
  ChatRequest request;
  request.sampling = with(stack.defaults, options.sampling);
  request.sampling.logprobs = options.logprobs;
  request.stop = options.stop;
  request.max_tokens = options.max_tokens;
  request.ignore_end = options.ignore_end;
  request.report_tokens = options.json || !options.lines.empty();
  Conversation conversation;
  conversation.effort = effort_from_name(options.think).value_or(Effort::kNone);
  if (!options.system.empty())
    conversation.messages.push_back(Message::of(Role::kSystem, options.system));
  if (options.raw) {
    request.prompt = RawText{};
  } else {
    request.prompt = std::move(conversation);
  }
  return request;
}

void print_stats(const Usage& u) {
  const double prompt_s = u.prompt_ms > 0 ? (u.prompt - u.cached) * 1000.0 / u.prompt_ms : 0;
  const double decode_s = u.decode_ms > 0 ? (u.completion - 1) * 1000.0 / u.decode_ms : 0;
  std::fprintf(stderr, "prompt %d tokens (%d cached) %.1f/s, answer %d tokens %.1f/s", u.prompt,
               u.cached, prompt_s, u.completion, decode_s);
  if (u.drafted > 0) std::fprintf(stderr, ", drafts %d of %d right", u.accepted, u.drafted);
  std::fputc('\n', stderr);
}

// Writes the answer's text as it comes; reasoning goes to stderr, so that a pipe carries the
// answer.
class Writer {
 public:
  explicit Writer(bool quiet)
      : style_(quiet ? ProgressStyle::kQuiet : progress_style_for(stderr)) {}

  void operator()(const ReplyDelta& delta) {
    bar_.reset();
    if (const auto* content = std::get_if<ContentDelta>(&delta)) {
      if (std::exchange(reasoned_, false)) std::fputs("\n\n", stderr);
      put(content->text, stdout);
    } else if (const auto* reasoning = std::get_if<ReasoningDelta>(&delta)) {
      reasoned_ = true;
      put(reasoning->text, stderr);
    } else {
      const auto& call = std::get<ToolCallDelta>(delta);
      if (!call.name.empty()) put((wrote_ ? "\n" : "") + call.name + " ", stdout);
      put(call.arguments, stdout);
    }
  }
  void operator()(const PromptProgress& progress) {
    if (!bar_)
      bar_.emplace("Reading the prompt", static_cast<std::uint64_t>(progress.total),
                   ProgressUnit{"tokens", false}, style_);
    bar_->update(static_cast<std::uint64_t>(progress.done));
    if (progress.done == progress.total) bar_.reset();
  }
  void end() {
    bar_.reset();
    if (reasoned_) std::fputc('\n', stderr);
    if (wrote_ && last_ != '\n') std::fputc('\n', stdout);
    std::fflush(stdout);
  }

 private:
  void put(const std::string& text, std::FILE* to) {
    if (text.empty()) return;
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
    if (to != stdout) return;
    wrote_ = true;
    last_ = text.back();
  }

  ProgressStyle style_;
  std::optional<Progress> bar_;
  bool reasoned_ = false, wrote_ = false;
  char last_ = '\n';
};

int generate_one(const GenerateOptions& options, Stack& stack, ChatRequest request) {
  const bool raw = std::holds_alternative<RawText>(request.prompt);
  if (!raw && !stack.format)
    return fail({Code::kUnsupported, stack.no_chat_reason + " Use --raw."});
  auto stream = stack.provider->chat(std::move(request), {});
  if (!stream) return fail(stream.error());
  const InterruptStop stop;
  Writer writer(false);
  ChatReply reply;
  std::optional<ChatEvent> event;
  while ((event = (*stream)->next(stop.token()))) {
    if (auto* finish = std::get_if<Finished>(&*event)) reply.finish = std::move(*finish);
    if (auto* info = std::get_if<TokenInfo>(&*event)) reply.tokens.push_back(std::move(*info));
    if (auto* delta = std::get_if<ReplyDelta>(&*event)) {
      append(reply.message, *delta);
      if (!options.json) writer(*delta);
    }
    if (const auto* progress = std::get_if<PromptProgress>(&*event)) writer(*progress);
  }
  writer.end();
  if (reply.finish.error) return fail(*reply.finish.error);
  if (interrupted()) return kExitInterrupted;
  if (options.json) {
    Json out = reply_json(reply);
    add_tokens(out, reply.tokens, options.logprobs >= 0, *stack.tokenizer);
    std::printf("%s\n", out.dump().c_str());
  }
  if (options.verbose) print_stats(reply.finish.usage);
  if (reply.finish.reason == FinishReason::kLength && options.max_tokens < 0 && !options.json) {
    std::fprintf(
        stderr, "plumb: the answer ended because the context of %lld tokens is full (--context).\n",
        static_cast<long long>(stack.context));
  }
  return kExitOk;
}

// One request of a file of them, from its line to its reply's.
struct Job {
  std::unique_ptr<ChatStream> stream;
  std::vector<Json::Member> carried;
  std::optional<Error> error;
  bool logprobs = false;
};

Job start_job(Stack& stack, const std::string& line, const std::string& what,
              const ChatRequest& defaults) {
  Job job;
  auto request = parse_line_request(line, what, defaults);
  if (!request) {
    job.error = request.error();
    const auto json = parse_json(line, what);  // whose failure it was
    if (const Json* id = json ? json->find("id") : nullptr) job.carried.emplace_back("id", *id);
    return job;
  }
  job.carried = std::move(request->carried);
  job.logprobs = request->chat.sampling.logprobs >= 0;
  auto stream = stack.provider->chat(std::move(request->chat), {});
  if (stream) {
    job.stream = std::move(*stream);
  } else {
    job.error = stream.error();
  }
  return job;
}

void print_job(const Job& job, const Result<ChatReply>& reply, const Tokenizer& tokenizer) {
  Json out = Json::object(job.carried);
  const Json body = reply ? reply_json(*reply) : error_json(reply.error());
  for (const auto& [key, value] : body.members()) out.set(key, value);
  if (reply) add_tokens(out, reply->tokens, job.logprobs, tokenizer);
  std::printf("%s\n", out.dump().c_str());
  std::fflush(stdout);
}

// Replies in the order of the lines, requests computed together.
int generate_lines(const GenerateOptions& options, Stack& stack, const ChatRequest& defaults) {
  std::ifstream file;
  if (options.lines != "-") {
    file.open(options.lines);
    if (!file) return fail({Code::kNotFound, "Could not open " + options.lines + "."});
  }
  std::istream& in = options.lines == "-" ? std::cin : file;
  const auto ahead = static_cast<std::size_t>(2 * options.parallel);
  Progress progress("Answering", 0, {"requests", false}, progress_style_for(stderr));
  std::deque<Job> jobs;
  int number = 0, status = kExitOk;
  std::uint64_t done = 0;
  for (;;) {
    std::string line;
    while (jobs.size() < ahead && std::getline(in, line)) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      jobs.push_back(start_job(
          stack, line, str(options.lines == "-" ? "stdin" : options.lines, ":", number), defaults));
    }
    if (jobs.empty()) return status;
    Job job = std::move(jobs.front());
    jobs.pop_front();
    const InterruptStop stop;
    std::stop_callback cancel(stop.token(), [&] {
      if (job.stream) job.stream->cancel();
    });
    const Result<ChatReply> reply =
        job.error ? Result<ChatReply>(*job.error) : collect(*job.stream);
    if (interrupted()) return kExitInterrupted;
    print_job(job, reply, *stack.tokenizer);
    if (!reply) status = exit_code(reply.error().code);
    progress.update(++done);
  }
}

int run_generate(GenerateOptions options) {
  install_interrupt_counter();
  const bool lines = !options.lines.empty();
  if (lines) options.stack.sequences = options.parallel;
  options.stack.sessions = 0;
  std::optional<std::string> prompt;
  if (!lines) {  // before the model is loaded, so that a missing prompt is told at once
    auto read = read_prompt(options);
    if (!read) return fail(read.error());
    prompt = std::move(*read);
  }
  auto stack = open_stack(options.stack);
  if (!stack) return fail(stack.error());
  ChatRequest request = defaults_of(options, **stack);
  if (lines) return generate_lines(options, **stack, request);
  if (options.raw) {
    request.prompt = RawText{std::move(*prompt)};
  } else {
    std::get<Conversation>(request.prompt)
        .messages.push_back(Message::of(Role::kUser, std::move(*prompt)));
  }
  return generate_one(options, **stack, std::move(request));
}

}  // namespace

void add_generate(CLI::App& app, int& status) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command = app.add_subcommand("generate", "Answer a prompt, or a file of prompts.");
  command->add_option("PROMPT", options->prompt,
                      "What to say to the model (-: read it from stdin)");
  command->add_option("-f,--file", options->file, "Read the prompt from a file");
  command->add_option("--jsonl", options->lines,
                      "Answer one JSON request per line of a file (-: stdin), computed together; "
                      "the replies come as lines in the same order");
  command
      ->add_option("--parallel", options->parallel,
                   "Requests of --jsonl to compute at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_flag("--raw", options->raw, "Continue the text as it is, without a chat around it");
  command->add_option("--system", options->system,
                      "Instructions that come before the conversation");
  command->add_option("--think", options->think, "How much to think first")
      ->check(CLI::IsMember({"none", "high", "max"}))
      ->capture_default_str();
  command
      ->add_option("-n,--max-tokens", options->max_tokens,
                   "End the answer after so many tokens (default: when the context is full)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--stop", options->stop,
                   "End the answer before this text; may be given several times")
      ->allow_extra_args(false);
  command->add_flag("--ignore-end", options->ignore_end, "Go on past the model's own end of turn");
  command->add_flag("--json", options->json, "Print one JSON object: text, tokens, usage, timings");
  command
      ->add_option("--logprobs", options->logprobs,
                   "With --json or --jsonl: log probabilities, and of so many rivals")
      ->check(CLI::Range(0, 1000));
  command->add_flag("-v,--verbose", options->verbose,
                    "Print tokens and speed to stderr at the end");
  add_sampling_options(*command, options->sampling);
  add_stack_options(*command, options->stack);
  command->footer(
      "Examples:\n"
      "  plumb generate \"Who are you?\"\n"
      "  plumb generate -f question.txt --think high --seed 7\n"
      "  echo \"Once upon a time\" | plumb generate --raw --max-tokens 50\n"
      "  plumb generate --jsonl requests.jsonl > replies.jsonl\n"
      "A line of --jsonl is {\"prompt\": TEXT} or {\"messages\": [...]}, with any of system, "
      "tools, think,\n"
      "raw, max_tokens, stop, seed, temperature, ...; other fields are copied into its reply.");
  command->callback([options, &status] { status = run_generate(*options); });
}

}  // namespace plumb
