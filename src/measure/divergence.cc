#include "measure/divergence.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/random.h"

namespace plumb::measure {
namespace {

// log of the sum of exp, relative to the largest.
struct Normaliser {
  double top = 0, log_sum = 0;
};

Normaliser normalise(std::span<const float> x) {
  Normaliser n;
  n.top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - n.top);
  n.log_sum = std::log(sum);
  return n;
}

std::size_t top_of(std::span<const float> x) {
  return static_cast<std::size_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

}  // namespace

double divergence(std::span<const float> p, std::span<const float> q) {
  const Normaliser np = normalise(p), nq = normalise(q);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double log_p = p[i] - np.top - np.log_sum;
    const double log_q = q[i] - nq.top - nq.log_sum;
    sum += std::exp(log_p) * (log_p - log_q);
  }
  return sum;
}

namespace {

// What one sequence of the second model adds up to.
class Sum {
 public:
  void add(Mat<const float> p, Mat<const float> q) {
    for (int r = 0; r < p.rows; ++r) {
      const double kl = divergence(p.span(r), q.span(r));
      mean_ += kl;
      sum_.largest = std::max(sum_.largest, kl);
      sum_.same_top += top_of(p.span(r)) == top_of(q.span(r)) ? 1 : 0;
      ++sum_.positions;
    }
  }
  Divergence result() const {
    Divergence d = sum_;
    d.mean = mean_ / std::max(1, d.positions);
    d.same_top /= std::max(1, d.positions);
    return d;
  }

 private:
  Divergence sum_;
  double mean_ = 0;
};

// Remembers the experts of one model's pass, by layer, for another model.
class Experts {
 public:
  Tap listen() {
    Tap tap;
    tap.ids = [this](std::string_view name, int layer, Mat<const std::int32_t> value,
                     std::span<const std::int32_t>) {
      if (name != "experts") return;
      std::vector<std::int64_t>& ids = by_layer_[layer];
      ids.clear();
      for (int t = 0; t < value.rows; ++t)
        ids.insert(ids.end(), value.row(t), value.row(t) + value.cols);
    };
    return tap;
  }
  Tap prescribe() const {
    Tap tap;
    tap.experts = [this](int layer) -> std::span<const std::int64_t> {
      const auto found = by_layer_.find(layer);
      if (found == by_layer_.end()) return {};
      return found->second;
    };
    return tap;
  }

 private:
  std::map<int, std::vector<std::int64_t>> by_layer_;
};

}  // namespace

Result<Comparison> compare_logits(LanguageModel& plain, StatePool& plain_pool, LanguageModel& other,
                                  StatePool& other_pool, int positions, std::uint64_t seed,
                                  const std::function<bool(int done)>& progress) {
  const ModelInfo &a = plain.info(), &b = other.info();
  const int step =
      std::min({a.max_scored_rows, a.max_step_tokens, b.max_scored_rows, b.max_step_tokens});
  PLUMB_TRY(plain_state, plain_pool.open({}));
  PLUMB_TRY(free_state, other_pool.open({}));
  PLUMB_TRY(routed_state, other_pool.open({}));
  PLUMB_TRY_STATUS(plain_pool.reserve(plain_state, positions));
  PLUMB_TRY_STATUS(other_pool.reserve(free_state, positions));
  PLUMB_TRY_STATUS(other_pool.reserve(routed_state, positions));
  Experts experts;
  plain.set_tap(experts.listen());
  Sum free, routed;
  for (int at = 0; at < positions;) {
    const int count = std::min(step, positions - at);
    std::vector<Token> tokens;
    for (int i = at; i < at + count; ++i) {
      tokens.push_back(static_cast<Token>(random_bits(seed, static_cast<std::uint64_t>(i)) %
                                          static_cast<std::uint64_t>(a.vocab)));
    }
    const std::vector<Key> keys(tokens.begin(), tokens.end());
    const BatchItem ours{&plain_state, tokens, count};
    PLUMB_TRY(p, plain.forward({&ours, 1}));
    for (const bool forced : {false, true}) {
      SequenceState& state = forced ? routed_state : free_state;
      const BatchItem theirs{&state, tokens, count};
      other.set_tap(forced ? experts.prescribe() : Tap{});
      auto q = other.forward({&theirs, 1});
      other.set_tap({});
      if (!q) return q.error();
      (forced ? routed : free).add(p, *q);
      other_pool.advance(state, keys);
    }
    plain_pool.advance(plain_state, keys);
    at += count;
    if (!progress(at)) return Error{Code::kCancelled, "Interrupted."};
  }
  plain.set_tap({});
  return Comparison{free.result(), routed.result()};
}

}  // namespace plumb::measure
