#include "text/answer_grammar.h"

#include <utility>
#include <vector>

#include "base/json.h"
#include "grammar/ebnf.h"
#include "grammar/regex.h"
#include "grammar/schema.h"

namespace plumb {
namespace {

constexpr JsonLimits kSchemaLimits{128, std::size_t{4} << 20};

}  // namespace

Result<grammar::ExprId> answer_grammar(grammar::JsonRules& json, const AnswerForm& form) {
  grammar::Rules& rules = json.rules();
  switch (form.kind) {
    case AnswerForm::Kind::kText:
      break;
    case AnswerForm::Kind::kSchema: {
      auto schema = parse_json(form.source, "The schema", kSchemaLimits);
      if (!schema) return Error{Code::kInvalid, schema.error().message};
      return grammar::json_schema(json, *schema);
    }
    case AnswerForm::Kind::kRegex:
      return grammar::regex(rules, form.source);
    case AnswerForm::Kind::kGrammar: {
      PLUMB_TRY(root, grammar::ebnf(rules, form.source));
      return rules.call(root);
    }
    case AnswerForm::Kind::kChoice: {
      std::vector<grammar::ExprId> ways;
      for (const std::string& choice : form.choices) ways.push_back(rules.literal(choice));
      return rules.alt(std::move(ways));
    }
  }
  return json.text();
}

}  // namespace plumb
