// Holds a reply to its grammar and its reasoning to a budget.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/request.h"
#include "grammar/machine.h"

namespace plumb {

struct ReplyFilterOptions {
  std::shared_ptr<grammar::Machine> machine;  // null: any reply
  std::vector<Token> ends;  // the tokens that end a reply: where the grammar may end
  bool starts_in_reasoning = false;
  Token end_of_reasoning = -1;
  int max_reasoning = -1;  // tokens, then end_of_reasoning must come; -1: any
};

// Used on the engine's thread; see TokenFilter.
class ReplyFilter final : public TokenFilter {
 public:
  explicit ReplyFilter(ReplyFilterOptions options);

  void bitmask(std::span<std::uint64_t> allowed) override;
  void accept(Token token) override;
  void rollback(int tokens) override;

 private:
  bool in_reasoning() const;

  const ReplyFilterOptions options_;
  std::optional<grammar::Matcher> matcher_;
  int accepted_ = 0;
  int reasoning_end_ = -1;  // how many tokens came before the one that ended it
  int broken_at_ = -1;      // from here on tokens were no longer the grammar's
  grammar::TokenSet scratch_;
};

}  // namespace plumb
