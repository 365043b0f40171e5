// What holding replies to a contract costs: making the grammar, and each token's mask, built and
// applied (what sampling takes with it less what it takes without), on the published DeepSeek-V4
// vocabulary. Replies are drawn at random among the allowed tokens, half of them one byte long at
// least, which visits more of a grammar than a model does. Usage: grammar_bench [REPLIES = 40]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "gateway/constraints.h"
#include "gateway/reply_filter.h"
#include "text/v4_tokenizer_for_tests.h"

namespace plumb {
namespace {

using Clock = std::chrono::steady_clock;
double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct Case {
  std::string name;
  Prompt prompt;
  Contract contract;
};

Contract of(AnswerForm::Kind kind, std::string source) {
  Contract contract;
  contract.form = {kind, std::move(source), {}};
  return contract;
}

ToolSpec tool(int i) {
  const std::string n = std::to_string(i);
  const std::string properties =
      R"("path_)" + n + R"(": {"type": "string", "description": "a path"},
         "mode": {"enum": ["read", "write", "append"]}, "line": {"type": "integer", "minimum": 1},
         "note": {"type": ["string", "null"]}, "ratio": {"type": "number", "minimum": 0, "maximum": 1},
         "tags": {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 10},
         "edits": {"type": "array", "items": {"type": "object", "properties": {
             "from": {"type": "string"}, "to": {"type": "string"}, "all": {"type": "boolean"}},
             "required": ["from", "to"], "additionalProperties": false}})";
  return {"tool_" + n,
          R"({"name": "tool_)" + n + R"(", "parameters": {"type": "object", "properties": {)" +
              properties + R"(}, "required": ["path_)" + n + R"(", "mode"]}})",
          true};
}

std::vector<Case> cases() {
  const std::string person =
      R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
      "email":{"type":"string","format":"email"},"tags":{"type":"array","items":{"type":"string"}},
      "address":{"type":"object","properties":{"street":{"type":"string"},"zip":{"type":"string","pattern":"^\\d{5}$"}},
      "required":["street","zip"]}},"required":["name","age","email","tags","address"]})";
  Conversation asked;
  asked.messages.push_back(Message::of(Role::kUser, "Hi"));
  Conversation with_tools = asked;
  for (int i = 0; i < 40; ++i) with_tools.tools.push_back(tool(i));
  Contract calls;
  calls.tools = ToolUse::kRequired;
  return {
      {"any JSON", asked, of(AnswerForm::Kind::kSchema, R"({"type":"object"})")},
      {"a person", asked, of(AnswerForm::Kind::kSchema, person)},
      {"bounded strings", asked,
       of(AnswerForm::Kind::kSchema,
          R"({"type":"array","items":{"type":"string","minLength":3,"maxLength":60}})")},
      {"a pattern", asked,
       of(AnswerForm::Kind::kSchema,
          R"({"type":"string","pattern":"^[a-z]+(-[a-z0-9]+)*\\.(md|txt|cc)$"})")},
      {"a regular expression", asked,
       of(AnswerForm::Kind::kRegex, "([A-Z][a-z]+ ){3,20}[0-9]{2,8}\\.")},
      {"40 tools, calls", with_tools, calls},
      {"40 tools, free", with_tools, Contract()},
  };
}

double percentile(std::vector<double>& values, double p) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))];
}

void run(const Case& c, const Tokenizer& tokenizer, Constraints& constraints, Token eos,
         int replies) {
  auto start = Clock::now();
  auto machine = constraints.machine(c.prompt, c.contract, false);
  PLUMB_CHECK(machine.has_value());
  const double compile = us_since(start);
  std::vector<double> cold, warm, applied;
  const int vocab = tokenizer.vocab_size();
  std::vector<float> logits(static_cast<std::size_t>(vocab));
  std::mt19937 random(1);
  for (float& x : logits) x = static_cast<float>(random() % 1000) / 100;
  Sampler sampler;
  const SamplingParams params;
  const TokenHistory history;
  for (int reply = 0; reply < replies; ++reply) {
    ReplyFilter filter({*machine, {eos}, false, -1, -1});
    for (int step = 0; step < 120; ++step) {
      grammar::TokenSet allowed((static_cast<std::size_t>(vocab) + 63) / 64, ~std::uint64_t{0});
      start = Clock::now();
      filter.bitmask(allowed);
      (reply == 0 ? cold : warm).push_back(us_since(start));
      start = Clock::now();
      PLUMB_CHECK(sampler.sample(logits, params, step, history, allowed).has_value());
      const double masked = us_since(start);
      start = Clock::now();
      PLUMB_CHECK(sampler.sample(logits, params, step, history, {}).has_value());
      applied.push_back(masked - us_since(start));
      std::vector<Token> choices;
      for (Token t = 0; t < vocab; ++t) {
        if (grammar::contains(allowed, t)) choices.push_back(t);
      }
      PLUMB_CHECK(!choices.empty());
      const Token token = choices[random() % choices.size()];
      if (token == eos) break;
      filter.accept(token);
    }
  }
  std::printf(
      "%-22s made in %7.1f ms; first reply p50 %6.1f max %8.1f us; others p50 %6.1f p99 %6.1f "
      "p99.9 %7.1f max %8.1f us; applying p50 %+.1f p99 %+.1f us; %4.1f MiB\n",
      c.name.c_str(), compile / 1000, percentile(cold, 0.5), percentile(cold, 1),
      percentile(warm, 0.5), percentile(warm, 0.99), percentile(warm, 0.999), percentile(warm, 1),
      percentile(applied, 0.5), percentile(applied, 0.99),
      static_cast<double>((*machine)->bytes()) / (1 << 20));
}

}  // namespace
}  // namespace plumb

int main(int argc, char** argv) {
  using namespace plumb;
  const int replies = argc > 1 && argv[1][0] != '-' ? std::atoi(argv[1]) : 40;
  auto tokenizer = Tokenizer::load(v4_tokenizer_json());
  PLUMB_CHECK(tokenizer.has_value());
  auto format = make_deepseek_v4_format(**tokenizer);
  PLUMB_CHECK(format.has_value());
  Constraints constraints(**tokenizer, format->get(), (*tokenizer)->vocab_size());
  const auto start = Clock::now();
  Conversation first;
  first.messages.push_back(Message::of(Role::kUser, "Hi"));
  PLUMB_CHECK(constraints.machine(first, of(AnswerForm::Kind::kRegex, "a"), false).has_value());
  std::printf("the vocabulary, once: %.1f ms\n", us_since(start) / 1000);
  for (const Case& c : cases())
    run(c, **tokenizer, constraints, (*format)->stop_tokens().front(), replies);
}
