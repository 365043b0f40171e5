#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "base/check.h"
#include "base/random.h"
#include "tensor/math.h"

namespace plumb {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
constexpr std::uint64_t kDrawStream = 0;

float penalised(float x, const TokenHistory::Count& count, const SamplingParams& params) {
  if (params.repetition_penalty != 1.0f) {
    x = x > 0 ? x / params.repetition_penalty : x * params.repetition_penalty;
  }
  if (count.answer > 0) {
    x -= params.presence_penalty;
    x -= params.frequency_penalty * static_cast<float>(count.answer);
  }
  return x;
}

bool has_penalties(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f || params.presence_penalty != 0.0f ||
         params.frequency_penalty != 0.0f;
}

std::vector<TokenLogprob> most_likely(std::span<const float> logits, int n, float log_total) {
  std::vector<Token> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Token>(i);
  const auto count = std::min(static_cast<std::size_t>(n), order.size());
  const auto at = [&](Token t) { return logits[static_cast<std::size_t>(t)]; };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](Token a, Token b) { return at(a) != at(b) ? at(a) > at(b) : a < b; });
  std::vector<TokenLogprob> top;
  for (std::size_t i = 0; i < count; ++i) top.push_back({order[i], at(order[i]) - log_total});
  return top;
}

}  // namespace

void TokenHistory::pop(Token token) {
  const auto at = counts_.find(token);
  PLUMB_CHECK(at != counts_.end() && at->second.answer > 0);
  if (--at->second.answer == 0 && at->second.prompt == 0) counts_.erase(at);
}

Status check_finite(std::span<const float> logits, Pos position) {
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float x = logits[i];
    if (x - x == 0) continue;  // false for NaN and infinities
    return Error{Code::kInternal, "The logits for position " + std::to_string(position) +
                                      " contain " + (x != x ? "NaN" : "an infinity") +
                                      ", first at token " + std::to_string(i) +
                                      ", expected finite numbers."};
  }
  return {};
}

float log_sum_exp(std::span<const float> logits) {
  float highest = kForbidden;
  for (const float x : logits) highest = std::max(highest, x);
  double sum = 0;
  for (const float x : logits) sum += static_cast<double>(math::exp(x - highest));
  return highest + math::log(static_cast<float>(sum));
}

float token_logprob(std::span<const float> logits, Token token) {
  return logits[static_cast<std::size_t>(token)] - log_sum_exp(logits);
}

Status Sampler::adjust(std::span<const float> logits, const SamplingParams& params,
                       const TokenHistory& history, std::span<const std::uint64_t> allowed) {
  adjusted_.assign(logits.begin(), logits.end());
  if (has_penalties(params)) {
    for (const auto& [token, count] : history.counts()) {
      if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) continue;
      float& x = adjusted_[static_cast<std::size_t>(token)];
      x = penalised(x, count, params);
    }
  }
  for (const auto& [token, bias] : params.logit_bias) {
    adjusted_[static_cast<std::size_t>(token)] += bias;
  }
  candidates_.clear();
  const auto add = [&](std::size_t i) {
    candidates_.push_back({adjusted_[i], static_cast<Token>(i)});
  };
  if (allowed.empty()) {
    for (std::size_t i = 0; i < adjusted_.size(); ++i) add(i);
  }
  for (std::size_t w = 0; w < allowed.size(); ++w) {
    for (std::uint64_t word = allowed[w]; word != 0; word &= word - 1) {
      const std::size_t i = 64 * w + static_cast<std::size_t>(std::countr_zero(word));
      if (i < adjusted_.size()) add(i);
    }
  }
  if (candidates_.empty()) {
    return Error{Code::kInvalid, "The token filter forbids every one of the " +
                                     std::to_string(logits.size()) + " tokens of the vocabulary."};
  }
  return {};
}

// Leaves candidates_ in ascending id with their weights beside them. Every sum runs in ascending id
// or in ascending rank, so that no result depends on how a library partitions.
void Sampler::keep_likely(const SamplingParams& params) {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  const auto by_id = [](const Candidate& a, const Candidate& b) { return a.token < b.token; };
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + (params.top_k - 1),
                     candidates_.end(), likelier);
    candidates_.resize(static_cast<std::size_t>(params.top_k));
    std::sort(candidates_.begin(), candidates_.end(), by_id);
  }
  const float highest = std::min_element(candidates_.begin(), candidates_.end(), likelier)->logit;
  if (params.top_p < 1.0f) {
    double total = 0;
    for (const Candidate& c : candidates_)
      total += static_cast<double>(math::exp(c.logit - highest));
    const double enough = static_cast<double>(params.top_p) * total;
    double sum = 0;
    std::size_t kept = 0, sorted = 0;
    while (kept < candidates_.size() && (kept == 0 || sum < enough)) {
      if (kept == sorted) {  // rank the next few: a handful suffices as a rule
        sorted = std::min(candidates_.size(), std::max<std::size_t>(64, sorted * 4));
        std::partial_sort(candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
                          candidates_.begin() + static_cast<std::ptrdiff_t>(sorted),
                          candidates_.end(), likelier);
      }
      sum += static_cast<double>(math::exp(candidates_[kept++].logit - highest));
    }
    candidates_.resize(kept);
    std::sort(candidates_.begin(), candidates_.end(), by_id);
  }
  weights_.clear();
  std::size_t kept = 0;
  for (const Candidate& c : candidates_) {
    const float weight = math::exp(c.logit - highest);
    if (weight < params.min_p) continue;
    candidates_[kept++] = c;
    weights_.push_back(weight);
  }
  candidates_.resize(kept);
}

Token Sampler::draw(const SamplingParams& params, Pos position) {
  double total = 0;
  for (const float w : weights_) total += static_cast<double>(w);
  const double target =
      uniform(params.seed, static_cast<std::uint64_t>(position), kDrawStream) * total;
  double sum = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    sum += static_cast<double>(weights_[i]);
    if (sum > target) return candidates_[i].token;
  }
  // Rounding of target up to total: the last token that has any weight.
  std::size_t last = candidates_.size() - 1;
  while (last > 0 && weights_[last] == 0) --last;
  return candidates_[last].token;
}

Result<Sampled> Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                                Pos position, const TokenHistory& history,
                                std::span<const std::uint64_t> allowed) {
  PLUMB_TRY_STATUS(check_finite(logits, position));
  PLUMB_TRY_STATUS(adjust(logits, params, history, allowed));
  Sampled result;
  if (params.greedy()) {
    const auto best =
        std::max_element(candidates_.begin(), candidates_.end(),
                         [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; });
    result.token = best->token;  // the first of equals, and ids ascend
  } else {
    for (Candidate& c : candidates_) c.logit = c.logit / params.temperature;
    keep_likely(params);
    result.token = draw(params, position);
  }
  if (params.logprobs >= 0) {
    const float log_total = log_sum_exp(logits);
    result.logprob = logits[static_cast<std::size_t>(result.token)] - log_total;
    if (params.logprobs > 0) result.top = most_likely(logits, params.logprobs, log_total);
  }
  return result;
}

}  // namespace plumb
