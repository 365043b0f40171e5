#include "gateway/constraints.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "text/answer_grammar.h"

namespace plumb {
namespace {

constexpr std::size_t kMostBytes = std::size_t{256} << 20;
constexpr std::size_t kMostEntries = 256;
// A machine that has grown so much is not given to further requests, so that each ends below its
// own limit.
constexpr std::size_t kGrown = std::size_t{32} << 20;

void add(std::string& key, std::string_view part) { key += str(part.size(), ":", part); }

// Everything that decides the grammar. Empty: any reply will do.
std::string key_of(const Prompt& prompt, const Contract& contract, bool starts_in_reasoning) {
  std::string key;
  const auto* conversation = std::get_if<Conversation>(&prompt);
  std::size_t tools = 0;
  if (conversation) {
    const auto add_tools = [&](const std::vector<ToolSpec>& specs) {
      for (const ToolSpec& tool : specs) {
        add(key, tool.name);
        add(key, tool.function_json);
        add(key, tool.strict ? "strict" : "");
        ++tools;
      }
    };
    add_tools(conversation->tools);
    for (const Message& message : conversation->messages) add_tools(message.tools);
  }
  if (tools == 0 && contract == Contract()) return {};
  add(key, str(static_cast<int>(contract.form.kind), " ", static_cast<int>(contract.tools), " ",
               contract.parallel_calls, " ", conversation != nullptr, " ", starts_in_reasoning));
  add(key, contract.form.source);
  add(key, contract.tool);
  for (const std::string& choice : contract.form.choices) add(key, choice);
  return key;
}

}  // namespace

Constraints::Constraints(const Tokenizer& tokenizer, const ChatFormat* format, int vocab_size)
    : tokenizer_(tokenizer), format_(format), vocab_size_(vocab_size) {}

std::shared_ptr<const grammar::Vocabulary> Constraints::vocabulary() {
  std::call_once(once_, [this] {
    std::vector<std::string> texts(static_cast<std::size_t>(vocab_size_));
    for (Token token = 0; token < std::min(vocab_size_, tokenizer_.vocab_size()); ++token) {
      if (!tokenizer_.is_control(token))
        texts[static_cast<std::size_t>(token)] = std::string(tokenizer_.bytes(token));
    }
    vocabulary_ = std::make_shared<const grammar::Vocabulary>(std::move(texts));
  });
  return vocabulary_;
}

Result<std::shared_ptr<grammar::Machine>> Constraints::make(const Prompt& prompt,
                                                            const Contract& contract,
                                                            bool starts_in_reasoning) {
  grammar::Rules rules;
  grammar::RuleId root = -1;
  if (const auto* conversation = std::get_if<Conversation>(&prompt)) {
    PLUMB_TRY(made, format_->reply_grammar(*conversation, contract, starts_in_reasoning, rules));
    if (!made) return std::shared_ptr<grammar::Machine>();
    root = *made;
  } else {
    if (contract.tools != ToolUse::kAuto || !contract.tool.empty()) {
      return Error{Code::kInvalid, "Raw text has no tools, expected a conversation."};
    }
    grammar::JsonRules json(rules);
    PLUMB_TRY(answer, answer_grammar(json, contract.form));
    root = rules.rule("the answer", answer);
  }
  auto automaton = grammar::Automaton::build(rules, root, "the contract of the reply");
  if (!automaton) return Error{Code::kInvalid, automaton.error().message};
  auto machine = std::make_shared<grammar::Machine>(
      std::make_shared<const grammar::Automaton>(*std::move(automaton)), vocabulary());
  // What a first token costs shows whether the grammar is one to be held while others wait.
  grammar::TokenSet first(vocabulary()->words(), 0);
  if (!grammar::Matcher(machine).allow(first)) {
    return Error{Code::kInvalid,
                 "The contract of the reply takes too much work to be kept, expected a simpler "
                 "grammar, schema or expression."};
  }
  return machine;
}

Result<std::shared_ptr<grammar::Machine>> Constraints::machine(const Prompt& prompt,
                                                               const Contract& contract,
                                                               bool starts_in_reasoning) {
  std::string key = key_of(prompt, contract, starts_in_reasoning);
  if (key.empty()) return std::shared_ptr<grammar::Machine>();
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_key_.find(key);
    if (found != by_key_.end() && found->second->machine->bytes() < kGrown) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return found->second->machine;
    }
  }
  PLUMB_TRY(made, make(prompt, contract, starts_in_reasoning));
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) entries_.erase(found->second);
  entries_.push_front({key, made});
  by_key_[std::move(key)] = entries_.begin();
  drop_old();
  return std::move(made);
}

void Constraints::drop_old() {
  std::size_t bytes = 0, count = 0;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    bytes += entry->machine->bytes() + entry->machine->automaton_bytes() + 2 * entry->key.size();
    if (++count > 1 && (bytes > kMostBytes || count > kMostEntries)) {
      by_key_.erase(entry->key);
      entry = entries_.erase(entry);
    } else {
      ++entry;
    }
  }
}

}  // namespace plumb
