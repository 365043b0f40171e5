// A grammar while it is written: rules of expressions over bytes and control tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.h"

namespace plumb::grammar {

using ExprId = std::int32_t;
using RuleId = std::int32_t;

inline constexpr int kUnbounded = -1;

// Characters that fill strings: what tokens are sorted by once per vocabulary (TokenTrie), so that
// a mask inside a long or bounded string costs no walk over the whole vocabulary.
enum class Filler : std::uint8_t {
  kNone,
  kJson,  // a character that a JSON string holds as it is: not ", not \, not a control character
  kRaw,   // any character but U+FF5C, with which models' markup begins
};

struct Expr {
  enum class Kind : std::uint8_t {
    kNever,
    kBytes,
    kLiteral,
    kControl,
    kCall,
    kSeq,
    kAlt,
    kRepeat,
    kGraph
  };
  Kind kind = Kind::kNever;
  std::uint8_t low = 0, high = 0;          // kBytes: one byte in [low, high]
  Token token = -1;                        // kControl
  RuleId rule = -1;                        // kCall
  int min = 0, max = kUnbounded;           // kRepeat
  Filler filler = Filler::kNone;           // kRepeat: what each repetition accepts at least
  std::string text;                        // kLiteral
  std::vector<ExprId> parts;               // kSeq, kAlt, kGraph: of its edges; kRepeat has one
  std::vector<std::pair<int, int>> edges;  // kGraph: from and to
};

// Owns the expressions and rules of one grammar. Expressions may be used any number of times.
// Thread-compatible.
class Rules {
 public:
  ExprId empty() { return literal(""); }
  ExprId never();  // matches nothing, not even the empty text
  ExprId byte(unsigned char value) { return bytes(value, value); }
  ExprId bytes(unsigned char low, unsigned char high);
  ExprId literal(std::string text);
  ExprId control(Token token);
  ExprId call(RuleId rule);
  ExprId seq(std::vector<ExprId> parts);
  ExprId alt(std::vector<ExprId> parts);
  // min to max times, max may be kUnbounded. A `filler` promises that the expression accepts every
  // character of that kind, and that each is one repetition.
  ExprId repeat(ExprId expr, int min, int max, Filler filler = Filler::kNone);
  ExprId optional(ExprId expr) { return repeat(expr, 0, 1); }

  // Walks from node 0 along edges, each of which is an expression; they may end at every node. The
  // `filler` promises that each of its characters leads from node 0 back to it.
  struct GraphEdge {
    int from = 0, to = 0;
    ExprId expr = -1;
  };
  ExprId graph(const std::vector<GraphEdge>& edges, Filler filler);

  // A rule may be called before it is defined. `name` is for messages.
  RuleId declare(std::string name);
  void define(RuleId rule, ExprId body);
  RuleId rule(std::string name, ExprId body);
  // For short rules that almost anything may follow and that end after many of their bytes, such as
  // white space: which tokens may come within them is looked at together with what their callers
  // go on with.
  void look_through(RuleId rule) { rules_[static_cast<std::size_t>(rule)].look_through = true; }

  struct Rule {
    std::string name;
    ExprId body = -1;  // -1: not defined yet
    bool look_through = false;
  };
  const std::vector<Expr>& exprs() const { return exprs_; }
  const std::vector<Rule>& all() const { return rules_; }

 private:
  ExprId add(Expr expr);

  std::vector<Expr> exprs_;
  std::vector<Rule> rules_;
};

}  // namespace plumb::grammar
