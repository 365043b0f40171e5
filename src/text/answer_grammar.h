// The form of an answer as a grammar.
#pragma once

#include "base/result.h"
#include "grammar/json_rules.h"
#include "text/contract.h"

namespace plumb {

// Texts of that form; kText gives any. kInvalid and kUnsupported say what is wrong with its source.
Result<grammar::ExprId> answer_grammar(grammar::JsonRules& json, const AnswerForm& form);

}  // namespace plumb
