// plumb perplexity: how well the model predicts a text.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/interrupt_stop.h"
#include "apps/stack.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/strings.h"

namespace plumb {
namespace {

struct PerplexityOptions {
  StackOptions stack;
  std::string file;
  std::int64_t window = 2048;
  std::int64_t stride = 0;  // 0: window / 2
  std::int64_t limit = 0;   // tokens of the text; 0: all
  bool json = false;
};

struct Score {
  double nats = 0;  // -log probability of all scored tokens
  std::int64_t tokens = 0;
  std::uint64_t bytes = 0;  // that they stand for
};

// Adds the tokens [from, to) of `text`, predicted from text[begin..) behind the begin-of-sequence
// token. False: interrupted.
Result<bool> score_window(Stack& stack, const std::vector<Token>& text, std::size_t begin,
                          std::size_t from, std::size_t to, const InterruptStop& stop,
                          Score& score) {
  GenerateRequest request;
  request.prompt.push_back(stack.engine->model().bos);
  request.prompt.insert(request.prompt.end(), text.begin() + static_cast<std::ptrdiff_t>(begin),
                        text.begin() + static_cast<std::ptrdiff_t>(to));
  request.max_tokens = 0;
  request.score_prompt = true;
  PLUMB_TRY(generation, stack.engine->submit(std::move(request)));
  while (auto event = generation->events().pop(stop.token())) {
    if (const auto* scores = std::get_if<PromptScores>(&*event)) {
      for (std::size_t i = 0; i < scores->logprobs.size(); ++i) {
        const std::size_t at = begin + static_cast<std::size_t>(scores->first - 1) + i;
        if (at < from) continue;
        score.nats -= static_cast<double>(scores->logprobs[i]);
        ++score.tokens;
        score.bytes += stack.tokenizer->bytes(text[at]).size();
      }
    } else if (const auto* end = std::get_if<GenerationEnd>(&*event)) {
      if (end->error) return *end->error;
    }
  }
  return !interrupted();
}

void print_score(const PerplexityOptions& options, const Stack& stack, const Score& score) {
  const double bits = score.nats / std::log(2.0);
  const double per_token = bits / static_cast<double>(std::max<std::int64_t>(score.tokens, 1));
  const double per_byte = bits / static_cast<double>(std::max<std::uint64_t>(score.bytes, 1));
  const double perplexity = std::exp2(per_token);
  if (options.json) {
    const Json out =
        Json::object({{"model", Json::string(stack.name)},
                      {"numerics", Json::string(stack.engine->model().numerics.id())},
                      {"file", Json::string(options.file)},
                      {"window", Json::integer(options.window)},
                      {"stride", Json::integer(options.stride)},
                      {"tokens", Json::integer(score.tokens)},
                      {"bytes", Json::integer(static_cast<std::int64_t>(score.bytes))},
                      {"bits_per_token", Json::real(per_token)},
                      {"bits_per_byte", Json::real(per_byte)},
                      {"perplexity", Json::real(perplexity)}});
    std::printf("%s\n", out.dump().c_str());
    return;
  }
  std::printf("%lld tokens, %llu bytes: %.4f bits per token, %.4f bits per byte, perplexity %.3f\n",
              static_cast<long long>(score.tokens), static_cast<unsigned long long>(score.bytes),
              per_token, per_byte, perplexity);
}

int run_perplexity(PerplexityOptions options) {
  install_interrupt_counter();
  auto contents = read_file(options.file == "-" ? "/dev/stdin" : options.file);
  if (!contents) return fail(contents.error());
  if (options.stride == 0) options.stride = std::max<std::int64_t>(options.window / 2, 1);
  if (options.stride > options.window) {
    return fail({Code::kInvalid, str("--stride is ", options.stride,
                                     ", expected at most --window, ", options.window, ".")});
  }
  options.stack.sessions = 0;
  options.stack.max_scored_rows = 256;
  if (options.stack.context == 0) options.stack.context = options.window + 1;
  auto opened = open_stack(options.stack);
  if (!opened) return fail(opened.error());
  Stack& stack = **opened;
  std::vector<Token> text;
  stack.tokenizer->encode(*contents, text);
  if (options.limit > 0 && static_cast<std::int64_t>(text.size()) > options.limit)
    text.resize(static_cast<std::size_t>(options.limit));
  if (text.empty()) return fail({Code::kInvalid, options.file + " holds no text."});
  const InterruptStop stop;
  Progress progress("Scoring", text.size(), {"tokens", false}, progress_style_for(stderr));
  Score score;
  const auto window = static_cast<std::size_t>(options.window),
             stride = static_cast<std::size_t>(options.stride);
  std::size_t done = 0;
  while (done < text.size()) {
    // Every window but the first scores its last `stride` tokens, the rest is what they see.
    const std::size_t to = std::min(done == 0 ? window : done + stride, text.size());
    const std::size_t begin = to > window ? to - window : 0;
    const Result<bool> scored = score_window(stack, text, begin, done, to, stop, score);
    if (!scored) return fail(scored.error());
    if (!*scored) return kExitInterrupted;
    done = to;
    progress.update(done);
  }
  progress.finish();
  print_score(options, stack, score);
  return kExitOk;
}

}  // namespace

void add_perplexity(CLI::App& app, int& status) {
  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* command =
      app.add_subcommand("perplexity", "Measure how well the model predicts a text.");
  command->add_option("FILE", options->file, "The text (-: stdin)")->required();
  command->add_option("--window", options->window, "Tokens the model sees at once")
      ->check(CLI::Range(2, 1 << 30))
      ->capture_default_str();
  command
      ->add_option("--stride", options->stride,
                   "Tokens scored per window; each sees at least window - stride others (default: "
                   "half the window)")
      ->check(CLI::PositiveNumber);
  command->add_option("--limit", options->limit, "Only the first so many tokens")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", options->json, "Print JSON");
  add_stack_options(*command, options->stack);
  command->footer(
      "Example:\n  plumb perplexity book.txt --window 4096 --json\nEvery token of the text is "
      "scored once; the first one from the begin-of-sequence token alone.");
  command->callback([options, &status] { status = run_perplexity(*options); });
}

}  // namespace plumb
