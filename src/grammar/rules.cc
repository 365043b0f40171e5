#include "grammar/rules.h"

#include <utility>

#include "base/check.h"

namespace plumb::grammar {

ExprId Rules::add(Expr expr) {
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size()) - 1;
}

ExprId Rules::never() { return add({}); }

ExprId Rules::bytes(unsigned char low, unsigned char high) {
  Expr expr;
  expr.kind = Expr::Kind::kBytes;
  expr.low = low;
  expr.high = high;
  return add(std::move(expr));
}

ExprId Rules::literal(std::string text) {
  Expr expr;
  expr.kind = Expr::Kind::kLiteral;
  expr.text = std::move(text);
  return add(std::move(expr));
}

ExprId Rules::control(Token token) {
  Expr expr;
  expr.kind = Expr::Kind::kControl;
  expr.token = token;
  return add(std::move(expr));
}

ExprId Rules::call(RuleId rule) {
  Expr expr;
  expr.kind = Expr::Kind::kCall;
  expr.rule = rule;
  return add(std::move(expr));
}

ExprId Rules::seq(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts.front();
  Expr expr;
  expr.kind = Expr::Kind::kSeq;
  expr.parts = std::move(parts);
  return add(std::move(expr));
}

ExprId Rules::alt(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts.front();
  Expr expr;
  expr.kind = Expr::Kind::kAlt;
  expr.parts = std::move(parts);
  return add(std::move(expr));
}

ExprId Rules::repeat(ExprId part, int min, int max, Filler filler) {
  PLUMB_CHECK(min >= 0 && (max == kUnbounded || max >= min));
  Expr expr;
  expr.kind = Expr::Kind::kRepeat;
  expr.parts = {part};
  expr.min = min;
  expr.max = max;
  expr.filler = filler;
  return add(std::move(expr));
}

ExprId Rules::graph(const std::vector<GraphEdge>& edges, Filler filler) {
  Expr expr;
  expr.kind = Expr::Kind::kGraph;
  expr.filler = filler;
  for (const GraphEdge& edge : edges) {
    expr.parts.push_back(edge.expr);
    expr.edges.emplace_back(edge.from, edge.to);
  }
  return add(std::move(expr));
}

RuleId Rules::declare(std::string name) {
  rules_.push_back({std::move(name), -1, false});
  return static_cast<RuleId>(rules_.size()) - 1;
}

void Rules::define(RuleId rule, ExprId body) { rules_[static_cast<std::size_t>(rule)].body = body; }

RuleId Rules::rule(std::string name, ExprId body) {
  const RuleId id = declare(std::move(name));
  define(id, body);
  return id;
}

}  // namespace plumb::grammar
