#include "measure/divergence.h"

#include <algorithm>
#include <cmath>
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

Result<Divergence> compare_logits(LanguageModel& plain, StatePool& plain_pool, LanguageModel& other,
                                  StatePool& other_pool, int positions, std::uint64_t seed,
                                  const std::function<bool(int done)>& progress) {
  const ModelInfo &a = plain.info(), &b = other.info();
  const int step =
      std::min({a.max_scored_rows, a.max_step_tokens, b.max_scored_rows, b.max_step_tokens});
  PLUMB_TRY(plain_state, plain_pool.open({}));
  PLUMB_TRY(other_state, other_pool.open({}));
  PLUMB_TRY_STATUS(plain_pool.reserve(plain_state, positions));
  PLUMB_TRY_STATUS(other_pool.reserve(other_state, positions));
  Divergence result;
  double sum = 0;
  for (int at = 0; at < positions;) {
    const int count = std::min(step, positions - at);
    std::vector<Token> tokens;
    for (int i = at; i < at + count; ++i) {
      tokens.push_back(static_cast<Token>(random_bits(seed, static_cast<std::uint64_t>(i)) %
                                          static_cast<std::uint64_t>(a.vocab)));
    }
    const std::vector<Key> keys(tokens.begin(), tokens.end());
    const BatchItem ours{&plain_state, tokens, count}, theirs{&other_state, tokens, count};
    PLUMB_TRY(p, plain.forward({&ours, 1}));
    PLUMB_TRY(q, other.forward({&theirs, 1}));
    for (int r = 0; r < count; ++r) {
      const double kl = divergence(p.span(r), q.span(r));
      sum += kl;
      result.largest = std::max(result.largest, kl);
      result.same_top += top_of(p.span(r)) == top_of(q.span(r)) ? 1 : 0;
    }
    plain_pool.advance(plain_state, keys);
    other_pool.advance(other_state, keys);
    at += count;
    if (!progress(at)) return Error{Code::kCancelled, "Interrupted."};
  }
  result.positions = positions;
  result.mean = sum / positions;
  result.same_top /= positions;
  return result;
}

}  // namespace plumb::measure
