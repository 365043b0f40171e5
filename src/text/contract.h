// What a reply has to keep, whatever the model would rather write.
#pragma once

#include <string>
#include <vector>

namespace plumb {

// The form of the answer, behind the reasoning.
struct AnswerForm {
  enum class Kind : unsigned char {
    kText,     // any
    kSchema,   // JSON that satisfies a JSON Schema
    kRegex,    // matches a regular expression as a whole
    kGrammar,  // EBNF
    kChoice,   // one of some texts
  };
  Kind kind = Kind::kText;
  std::string source;                // schema, expression or grammar
  std::vector<std::string> choices;  // kChoice
  bool operator==(const AnswerForm&) const = default;
};

enum class ToolUse : unsigned char {
  kAuto,      // text or calls
  kRequired,  // calls
};

struct Contract {
  AnswerForm form;
  ToolUse tools = ToolUse::kAuto;  // of the tools that the conversation offers
  std::string tool;                // the only one that may be called; empty: any
  bool parallel_calls = true;      // false: one call at most
  bool operator==(const Contract&) const = default;
};

}  // namespace plumb
