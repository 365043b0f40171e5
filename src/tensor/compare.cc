#include "tensor/compare.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace plumb {
namespace {

double log_sum_exp(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - top);
  return top + std::log(sum);
}

}  // namespace

double max_abs_error(std::span<const float> a, std::span<const float> b) {
  PLUMB_CHECK(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) return worst;
  }
  return worst;
}

double relative_l2(std::span<const float> a, std::span<const float> b) {
  PLUMB_CHECK(a.size() == b.size());
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    error += d * d;
    norm += static_cast<double>(b[i]) * b[i];
  }
  return error == 0 ? 0 : std::sqrt(error / norm);
}

double kl_divergence(std::span<const float> p_logits, std::span<const float> q_logits) {
  PLUMB_CHECK(p_logits.size() == q_logits.size() && !p_logits.empty());
  const double p_norm = log_sum_exp(p_logits), q_norm = log_sum_exp(q_logits);
  double sum = 0;
  for (std::size_t i = 0; i < p_logits.size(); ++i) {
    const double log_p = p_logits[i] - p_norm, log_q = q_logits[i] - q_norm;
    const double p = std::exp(log_p);
    if (p > 0) sum += p * (log_p - log_q);
  }
  return sum;
}

}  // namespace plumb
