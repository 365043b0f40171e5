#include "grammar/automaton.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace plumb::grammar {

// Thompson's construction, each expression laid between two given states; then what can never end
// is cut away.
class AutomatonBuilder {
 public:
  AutomatonBuilder(const Rules& rules, std::string_view what, const AutomatonLimits& limits)
      : rules_(rules),
        what_(what),
        limits_(limits),
        start_(rules.all().size(), -1),
        end_(rules.all().size(), -1) {}

  Result<Automaton> build(RuleId root) {
    PLUMB_TRY_STATUS(lay_rules(root));
    productive_ =
        rules_with_a_path([](const Edge& edge) { return edge.kind != Edge::Kind::kCall; });
    if (!productive_[index(root)]) {
      return Error{Code::kInvalid, str("In ", what_, ", ", name(root),
                                       " can never end: it always needs another of its kind.")};
    }
    prune();
    nullable_ = rules_with_a_path([](const Edge& edge) { return edge.kind == Edge::Kind::kEmpty; });
    PLUMB_TRY_STATUS(refuse_left_recursion());
    return finish(root);
  }

 private:
  static std::size_t index(std::int32_t id) { return static_cast<std::size_t>(id); }
  const std::string& name(RuleId rule) const { return rules_.all()[index(rule)].name; }

  StateId add_state() {
    out_.push_back({});
    filler_.push_back({});
    look_through_.push_back(laying_through_);
    return static_cast<StateId>(out_.size()) - 1;
  }
  void add_edge(StateId from, Edge edge) { out_[index(from)].push_back(edge); }
  void add_empty(StateId from, StateId to) {
    if (from != to) add_edge(from, {Edge::Kind::kEmpty, 0, 0, -1, to});
  }

  Status lay_rules(RuleId root) {
    reach(root);
    for (std::size_t next = 0; next < order_.size(); ++next) {
      const RuleId rule = order_[next];
      const ExprId body = rules_.all()[index(rule)].body;
      if (body < 0) {
        return Error{Code::kInvalid, str("In ", what_, ", ", name(rule), " is not defined.")};
      }
      laying_through_ = rules_.all()[index(rule)].look_through;
      lay(body, start_[index(rule)], end_[index(rule)]);
      if (out_.size() > limits_.max_states) {
        return Error{Code::kExhausted,
                     str("A part of ", what_, " is too large: ", name(rule), " takes it past ",
                         limits_.max_states, " states. Fewer or shorter repetitions would do.")};
      }
    }
    return {};
  }

  void reach(RuleId rule) {
    if (start_[index(rule)] >= 0) return;
    const char outer = std::exchange(laying_through_, rules_.all()[index(rule)].look_through);
    start_[index(rule)] = add_state();
    end_[index(rule)] = add_state();
    laying_through_ = outer;
    order_.push_back(rule);
  }

  void lay(ExprId id, StateId from, StateId to) {
    if (out_.size() > limits_.max_states) return;  // lay_rules() says so
    const Expr& expr = rules_.exprs()[index(id)];
    switch (expr.kind) {
      case Expr::Kind::kNever:
        return;
      case Expr::Kind::kBytes:
        return add_edge(from, {Edge::Kind::kBytes, expr.low, expr.high, -1, to});
      case Expr::Kind::kControl:
        return add_edge(from, {Edge::Kind::kControl, 0, 0, expr.token, to});
      case Expr::Kind::kCall:
        reach(expr.rule);
        return add_edge(from, {Edge::Kind::kCall, 0, 0, expr.rule, to});
      case Expr::Kind::kLiteral:
        return lay_literal(expr.text, from, to);
      case Expr::Kind::kSeq:
        return lay_seq(expr.parts, from, to);
      case Expr::Kind::kAlt:
        for (const ExprId part : expr.parts) lay(part, from, to);
        return;
      case Expr::Kind::kRepeat:
        return lay_repeat(expr, from, to);
      case Expr::Kind::kGraph:
        return lay_graph(expr, from, to);
    }
  }

  void lay_literal(const std::string& text, StateId from, StateId to) {
    if (text.empty()) return add_empty(from, to);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<std::uint8_t>(text[i]);
      const StateId next = i + 1 == text.size() ? to : add_state();
      add_edge(from, {Edge::Kind::kBytes, byte, byte, -1, next});
      from = next;
    }
  }

  void lay_seq(const std::vector<ExprId>& parts, StateId from, StateId to) {
    if (parts.empty()) return add_empty(from, to);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const StateId next = i + 1 == parts.size() ? to : add_state();
      lay(parts[i], from, next);
      from = next;
    }
  }

  // States of their own, so that no loop runs through `from` or `to`.
  void lay_repeat(const Expr& expr, StateId from, StateId to) {
    const ExprId part = expr.parts.front();
    const bool unbounded = expr.max == kUnbounded;
    const int copies = unbounded ? expr.min : expr.max;
    StateId at = add_state();
    add_empty(from, at);
    for (int i = 0; i < copies && out_.size() <= limits_.max_states; ++i) {
      if (i >= expr.min) add_empty(at, to);
      filler_[index(at)] = {expr.filler, unbounded ? kUnbounded : expr.max - i};
      const StateId next = add_state();
      lay(part, at, next);
      at = next;
    }
    add_empty(at, to);
    if (!unbounded) return;
    filler_[index(at)] = {expr.filler, kUnbounded};
    lay(part, at, at);
  }

  void lay_graph(const Expr& expr, StateId from, StateId to) {
    std::vector<StateId> nodes = {add_state()};
    filler_[index(nodes[0])] = {expr.filler, kUnbounded};
    add_empty(from, nodes[0]);
    for (std::size_t i = 0; i < expr.parts.size(); ++i) {
      const auto [out, in] = expr.edges[i];
      while (static_cast<int>(nodes.size()) <= std::max(out, in)) nodes.push_back(add_state());
      lay(expr.parts[i], nodes[index(out)], nodes[index(in)]);
    }
    for (const StateId node : nodes) add_empty(node, to);
  }

  // Which rules have a path from start to end over edges that `free` passes and calls of such
  // rules.
  template <class Free>
  std::vector<char> rules_with_a_path(Free free) {
    std::vector<char> has(start_.size(), 0);
    std::vector<char> seen(out_.size(), 0);
    std::vector<std::vector<StateId>> waiting(start_.size());  // where calls of a rule lead
    std::vector<StateId> work;
    const auto visit = [&](StateId state) {
      if (!std::exchange(seen[index(state)], 1)) work.push_back(state);
    };
    std::vector<RuleId> rule_ending(out_.size(), -1);
    for (const RuleId rule : order_) rule_ending[index(end_[index(rule)])] = rule;
    for (const RuleId rule : order_) visit(start_[index(rule)]);
    while (!work.empty()) {
      const StateId state = work.back();
      work.pop_back();
      const RuleId ended = rule_ending[index(state)];
      if (ended >= 0 && !std::exchange(has[index(ended)], 1)) {
        for (const StateId to : waiting[index(ended)]) visit(to);
      }
      for (const Edge& edge : out_[index(state)]) {
        if (free(edge)) visit(edge.to);
        if (edge.kind != Edge::Kind::kCall) continue;
        if (has[index(edge.value)]) visit(edge.to);
        waiting[index(edge.value)].push_back(edge.to);
      }
    }
    return has;
  }

  // Removes calls of rules that never end and every way into states that do not reach an end.
  void prune() {
    std::vector<std::vector<StateId>> in(out_.size());
    for (std::size_t from = 0; from < out_.size(); ++from) {
      std::erase_if(out_[from], [&](const Edge& edge) {
        return edge.kind == Edge::Kind::kCall && !productive_[index(edge.value)];
      });
      for (const Edge& edge : out_[from]) in[index(edge.to)].push_back(static_cast<StateId>(from));
    }
    std::vector<char> ends(out_.size(), 0);
    std::vector<StateId> work;
    for (const RuleId rule : order_) {
      ends[index(end_[index(rule)])] = 1;
      work.push_back(end_[index(rule)]);
    }
    while (!work.empty()) {
      const StateId state = work.back();
      work.pop_back();
      for (const StateId from : in[index(state)]) {
        if (!std::exchange(ends[index(from)], 1)) work.push_back(from);
      }
    }
    for (auto& edges : out_) {
      std::erase_if(edges, [&](const Edge& edge) { return !ends[index(edge.to)]; });
    }
  }

  // The rules that may be called before any byte of `rule`.
  std::vector<RuleId> first_calls(RuleId rule) const {
    std::vector<RuleId> calls;
    std::vector<StateId> seen = {start_[index(rule)]};
    for (std::size_t i = 0; i < seen.size(); ++i) {
      for (const Edge& edge : out_[index(seen[i])]) {
        const bool call = edge.kind == Edge::Kind::kCall;
        if (call) calls.push_back(edge.value);
        if (edge.kind != Edge::Kind::kEmpty && !(call && nullable_[index(edge.value)])) continue;
        if (std::find(seen.begin(), seen.end(), edge.to) == seen.end()) seen.push_back(edge.to);
      }
    }
    return calls;
  }

  Status refuse_left_recursion() {
    enum : char { kNew, kOpen, kDone };
    std::vector<char> mark(start_.size(), kNew);
    struct Visit {
      RuleId rule;
      std::vector<RuleId> calls;
      std::size_t next = 0;
    };
    std::vector<Visit> path;
    for (const RuleId root : order_) {
      if (mark[index(root)] != kNew) continue;
      mark[index(root)] = kOpen;
      path.push_back({root, first_calls(root)});
      while (!path.empty()) {
        Visit& visit = path.back();
        if (visit.next == visit.calls.size()) {
          mark[index(visit.rule)] = kDone;
          path.pop_back();
          continue;
        }
        const RuleId called = visit.calls[visit.next++];
        if (mark[index(called)] == kOpen) {
          return Error{Code::kInvalid,
                       str("In ", what_, ", ", name(called),
                           " begins with itself, expected it to begin with something else.")};
        }
        if (mark[index(called)] == kDone) continue;
        mark[index(called)] = kOpen;
        path.push_back({called, first_calls(called)});
      }
    }
    return {};
  }

  Automaton finish(RuleId root) {
    Automaton a;
    a.root_ = root;
    a.start_ = std::move(start_);
    a.nullable_ = std::move(nullable_);
    a.filler_ = std::move(filler_);
    a.look_through_ = std::move(look_through_);
    a.final_.assign(out_.size(), 0);
    for (const RuleId rule : order_) a.final_[index(end_[index(rule)])] = 1;
    a.first_edge_.push_back(0);
    for (const auto& edges : out_) {
      a.edges_.insert(a.edges_.end(), edges.begin(), edges.end());
      a.first_edge_.push_back(static_cast<std::uint32_t>(a.edges_.size()));
    }
    return a;
  }

  const Rules& rules_;
  const std::string_view what_;
  const AutomatonLimits limits_;
  std::vector<std::vector<Edge>> out_;  // [states]
  std::vector<FillerMark> filler_;      // [states]
  std::vector<char> look_through_;      // [states]
  char laying_through_ = 0;             // of the rule whose states are being added
  std::vector<StateId> start_, end_;    // [rules]; -1: not reached
  std::vector<RuleId> order_;           // the rules that are reached
  std::vector<char> productive_, nullable_;
};

Result<Automaton> Automaton::build(const Rules& rules, RuleId root, std::string_view what,
                                   const AutomatonLimits& limits) {
  return AutomatonBuilder(rules, what, limits).build(root);
}

}  // namespace plumb::grammar
