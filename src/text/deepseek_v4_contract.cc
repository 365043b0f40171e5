#include "text/deepseek_v4_contract.h"

#include <string>
#include <utility>

#include "base/json.h"
#include "base/strings.h"
#include "grammar/json_rules.h"
#include "grammar/schema.h"
#include "text/answer_grammar.h"
#include "text/deepseek_v4_literals.h"

namespace plumb::deepseek_v4 {
namespace {

using grammar::ExprId;
using grammar::SchemaCompiler;

constexpr JsonLimits kToolLimits{128, std::size_t{4} << 20};

Error of_tool(const std::string& name, const Error& error) {
  return {error.code, str("The tool \"", name, "\": ", error.message)};
}

class CallGrammar {
 public:
  CallGrammar(grammar::JsonRules& json, Token dsml)
      : json_(json), rules_(json.rules()), dsml_(dsml) {}

  // "\n\n<DSML tool_calls>" one or more calls "</DSML tool_calls>".
  Result<ExprId> calls(const std::vector<const ToolSpec*>& tools, bool parallel) {
    std::vector<ExprId> ways;
    for (const ToolSpec* tool : tools) {
      auto made = invoke(*tool);
      if (!made) return of_tool(tool->name, made.error());
      ways.push_back(*made);
    }
    const ExprId one = rules_.call(rules_.rule("a call", rules_.alt(std::move(ways))));
    std::vector<ExprId> parts = {rules_.literal("\n\n"), tag("<", "tool_calls>\n"), one};
    if (parallel)
      parts.push_back(rules_.repeat(rules_.seq({rules_.byte('\n'), one}), 0, grammar::kUnbounded));
    parts.insert(parts.end(), {rules_.byte('\n'), tag("</", "tool_calls>")});
    return rules_.seq(std::move(parts));
  }

 private:
  ExprId tag(const char* open, std::string rest) {
    return rules_.seq(
        {rules_.literal(open), rules_.control(dsml_), rules_.literal(std::move(rest))});
  }

  Result<ExprId> invoke(const ToolSpec& tool) {
    PLUMB_TRY(function, parse_json(tool.function_json, "its description", kToolLimits));
    auto arguments = parameters(tool, function);
    // Clients offer tools with schemas of all kinds; only who asks for `strict` relies on them.
    static const Json kAnything = Json::object({{"parameters", Json::object()}});
    if (!arguments && !tool.strict) arguments = parameters(tool, kAnything);
    if (!arguments) return arguments.error();
    return rules_.seq({tag("<", str("invoke name=\"", tool.name, "\">\n")), *arguments,
                       rules_.byte('\n'), tag("</", "invoke>")});
  }

  Result<ExprId> parameters(const ToolSpec& tool, const Json& function) {
    const Json* given = function.find("parameters");
    if (!given || given->is_null()) return rules_.empty();
    SchemaCompiler compiler(json_, *given, !tool.strict);
    PLUMB_TRY(objects, compiler.objects(*given, "$"));
    if (objects.empty()) {
      return Error{Code::kInvalid,
                   "Its parameters let no object through, expected a schema of one."};
    }
    std::vector<ExprId> ways;
    for (const SchemaCompiler::Object& object : objects) {
      PLUMB_TRY(way, of_object(compiler, object));
      ways.push_back(way);
    }
    PLUMB_TRY_STATUS(compiler.finish());
    return rules_.alt(std::move(ways));
  }

  Result<ExprId> of_object(SchemaCompiler& compiler, const SchemaCompiler::Object& object) {
    for (const char* keyword : {"const", "enum", "minProperties", "maxProperties", "propertyNames",
                                "patternProperties"}) {
      if (!object.node->find(keyword)) continue;
      return Error{Code::kUnsupported, str(object.path, ".", keyword,
                                           " is not offered for a tool's parameters as a whole.")};
    }
    PLUMB_TRY(members, compiler.members(*object.node, object.path));
    const ExprId line = rules_.byte('\n');
    ExprId end[2] = {rules_.empty(), rules_.empty()};
    // Beside listed names one of them would come a second time, or against its own schema.
    if (members.rest && members.listed.empty()) {
      // Names that no schema knows: those that JSON and markup leave as they are.
      const grammar::CharSet plain = {{'A', 'Z'}, {'a', 'z'}, {'0', '9'}, {'_', '_'}, {'-', '-'}};
      const ExprId name =
          rules_.repeat(grammar::character(rules_, plain, grammar::Spelling::kRaw), 1, 64);
      PLUMB_TRY(one,
                parameter(compiler, name, *members.rest, object.path + ".additionalProperties"));
      end[0] = rules_.optional(
          rules_.seq({one, rules_.repeat(rules_.seq({line, one}), 0, grammar::kUnbounded)}));
    }
    std::vector<SchemaCompiler::Link> links;
    for (const auto& [name, schema, needed] : members.listed) {
      if (name.empty() || name.find_first_of("\"\n") != name.npos) {
        return Error{Code::kUnsupported,
                     str("Its parameter ", json_quote(name),
                         " cannot be written in the model's format, expected a name without quotes "
                         "and line ends.")};
      }
      PLUMB_TRY(made, parameter(compiler, rules_.literal(name), *schema,
                                str(object.path, ".properties.", name)));
      links.push_back({name, made, needed});
    }
    return compiler.chain(links, line, end);
  }

  // <DSML parameter name="KEY" string="true">raw</...> or string="false">JSON</...>
  Result<ExprId> parameter(SchemaCompiler& compiler, ExprId name, const Json& schema,
                           const std::string& path) {
    PLUMB_TRY(parts, compiler.parts(schema, path));
    std::vector<ExprId> ways;
    if (parts.raw_strings)
      ways.push_back(rules_.seq({rules_.literal("true\">"), *parts.raw_strings}));
    if (parts.others) ways.push_back(rules_.seq({rules_.literal("false\">"), *parts.others}));
    const ExprId value = ways.empty() ? rules_.never() : rules_.alt(std::move(ways));
    return rules_.seq({tag("<", "parameter name=\""), name, rules_.literal("\" string=\""), value,
                       tag("</", "parameter>")});
  }

  grammar::JsonRules& json_;
  grammar::Rules& rules_;
  const Token dsml_;
};

}  // namespace

Result<grammar::RuleId> reply_grammar(grammar::Rules& rules, const std::vector<ToolSpec>& tools,
                                      const Contract& contract, const ReplyTokens& tokens,
                                      bool starts_in_reasoning) {
  grammar::JsonRules json(rules);
  std::vector<const ToolSpec*> offered;
  for (const ToolSpec& tool : tools) {
    if (contract.tool.empty() || tool.name == contract.tool) offered.push_back(&tool);
  }
  if (offered.empty() && (contract.tools == ToolUse::kRequired || !contract.tool.empty())) {
    return Error{Code::kInvalid,
                 contract.tool.empty()
                     ? std::string("A call is required, but no tool is offered.")
                     : str("The tool \"", contract.tool, "\" is to be called, but not offered.")};
  }
  std::vector<ExprId> ways;
  ExprId calls = -1;
  if (!offered.empty()) {
    CallGrammar grammar(json, tokens.dsml);
    PLUMB_TRY(made, grammar.calls(offered, contract.parallel_calls));
    calls = rules.call(rules.rule("tool calls", made));
  }
  if (contract.tools == ToolUse::kRequired) {
    ways.push_back(calls);
  } else {
    const bool text = contract.form.kind == AnswerForm::Kind::kText;
    PLUMB_TRY(form, answer_grammar(json, contract.form));
    const ExprId answer = text ? grammar::text_without(rules, kDsml) : form;
    if (text && calls >= 0) {
      ways.push_back(rules.seq({answer, rules.optional(calls)}));
    } else {
      ways.push_back(answer);
      if (calls >= 0) ways.push_back(calls);
    }
  }
  ExprId reply = rules.alt(std::move(ways));
  if (starts_in_reasoning) {
    reply =
        rules.seq({grammar::text_without(rules, kDsml), rules.control(tokens.end_think), reply});
  }
  return rules.rule("the reply", reply);
}

}  // namespace plumb::deepseek_v4
