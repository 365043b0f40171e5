// JSON as grammars write it.
#pragma once

#include <string>
#include <vector>

#include "grammar/characters.h"
#include "grammar/rules.h"

namespace plumb::grammar {

// What schemas and tools share. White space is what people and models put between the parts of a
// value: nothing, one space, or a new line and its indentation. It is bounded, so that no reply is
// spaces without end. Nothing stands before or after a value.
class JsonRules {
 public:
  // Values that may be anything are nested so deep at most.
  static constexpr int kAnyDepth = 12;

  explicit JsonRules(Rules& rules);

  Rules& rules() { return rules_; }
  ExprId space() { return rules_.call(space_); }
  ExprId any_value();
  ExprId any_object();
  ExprId any_array();
  ExprId any_number();
  ExprId any_integer();
  ExprId boolean();
  ExprId null() { return rules_.literal("null"); }

  // `min` to `max` characters, as JSON with its quotes or raw.
  ExprId string(Spelling spelling, int min = 0, int max = kUnbounded);
  // A string of JSON that is none of `names`.
  ExprId string_but(std::vector<std::string> names);
  // "[" min to max of `item` "]".
  ExprId array(ExprId item, int min, int max);
  // "{" min to max of `member` "}".
  ExprId object(ExprId member, int min, int max);
  ExprId member(ExprId key, ExprId value);

  // Text without any structure: valid UTF-8, any characters.
  ExprId text() { return string(Spelling::kRaw); }

 private:
  ExprId enclosed(char open, ExprId item, int min, int max, char close);
  ExprId other_than(const std::vector<std::string>& names, std::size_t first, std::size_t last,
                    std::size_t at);
  ExprId json_character() { return rules_.call(character_); }

  Rules& rules_;
  RuleId space_, character_;
  RuleId string_rule_, number_rule_, integer_rule_;
  RuleId values_[kAnyDepth + 1];  // by how much deeper they may go
};

}  // namespace plumb::grammar
