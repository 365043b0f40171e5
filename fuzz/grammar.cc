// Any bytes as a JSON Schema, a regular expression or a grammar: it is refused in a sentence, or
// its texts can be followed from token to token to an end, within its limits.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/machine.h"
#include "text/answer_grammar.h"

namespace {

using plumb::AnswerForm;
namespace grammar = plumb::grammar;

std::shared_ptr<const grammar::Vocabulary> vocabulary() {
  static const auto kVocabulary = [] {
    std::vector<std::string> texts = {""};
    for (int byte = 0; byte < 256; ++byte) texts.push_back(std::string(1, static_cast<char>(byte)));
    for (const char* text :
         {"{\"", "\":", "\", \"", "\"}", "true", "null", "12", "\n  ", "ab", "\\u00", "é"})
      texts.emplace_back(text);
    return std::make_shared<const grammar::Vocabulary>(std::move(texts));
  }();
  return kVocabulary;
}

// Tokens chosen by the input's bytes among those that may follow.
void follow(const std::shared_ptr<grammar::Machine>& machine, std::string_view choices) {
  grammar::Matcher matcher(machine);
  int accepted = 0;
  for (const char choice : choices.substr(0, 100)) {
    grammar::TokenSet allowed(vocabulary()->words(), 0);
    if (!matcher.allow(allowed)) return;  // beyond its limits
    std::vector<plumb::Token> tokens;
    for (plumb::Token token = 0; token < vocabulary()->size(); ++token) {
      if (grammar::contains(allowed, token)) tokens.push_back(token);
    }
    if (tokens.empty()) {
      if (!matcher.may_end()) std::abort();  // a text that cannot be completed
      break;
    }
    if (!matcher.accept(tokens[static_cast<unsigned char>(choice) % tokens.size()])) {
      if (matcher.allow(allowed)) std::abort();  // a mask that lets through what cannot follow
      return;
    }
    ++accepted;
  }
  matcher.rollback(accepted);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  constexpr AnswerForm::Kind kKinds[] = {AnswerForm::Kind::kSchema, AnswerForm::Kind::kRegex,
                                         AnswerForm::Kind::kGrammar};
  grammar::Rules rules;
  grammar::JsonRules json(rules);
  const auto form = plumb::answer_grammar(json, {kKinds[data[0] % 3], std::string(text), {}});
  if (!form) {
    if (form.error().message.empty()) std::abort();
    return 0;
  }
  auto automaton = grammar::Automaton::build(rules, rules.rule("the answer", *form), "the input",
                                             {.max_states = 20'000});
  if (!automaton) return 0;
  const auto machine = std::make_shared<grammar::Machine>(
      std::make_shared<const grammar::Automaton>(*std::move(automaton)), vocabulary(),
      grammar::MachineLimits{std::size_t{8} << 20, 200'000});
  follow(machine, text);
  return 0;
}
