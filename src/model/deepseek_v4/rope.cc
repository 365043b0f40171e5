#include "model/deepseek_v4/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace plumb::deepseek_v4 {
namespace {

// The dimension whose wavelength makes `rotations` turns within the original context.
double correction(double rotations, const Config& c, double theta) {
  return c.rope_dim * std::log(c.yarn.original_positions / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(theta));
}

}  // namespace

std::vector<float> rope_frequencies(const Config& config, AttentionKind kind) {
  const bool compressed = kind != AttentionKind::kWindow;
  const double theta = compressed ? config.compress_rope_theta : config.rope_theta;
  const int half = config.rope_dim / 2;
  std::vector<float> freq(half);
  for (int i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.rope_dim);
    freq[i] = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  if (!compressed || config.yarn.original_positions <= 0) return freq;

  const double low = std::max(std::floor(correction(config.yarn.beta_fast, config, theta)), 0.0);
  double high = std::min(std::ceil(correction(config.yarn.beta_slow, config, theta)),
                         static_cast<double>(config.rope_dim - 1));
  if (low == high) high += 0.001;
  const float span = static_cast<float>(high - low);
  for (int i = 0; i < half; ++i) {
    const float ramp = std::clamp((static_cast<float>(i) - static_cast<float>(low)) / span, 0.0f, 1.0f);
    const float smooth = 1.0f - ramp;
    const float scaled = freq[i] / static_cast<float>(config.yarn.factor);
    freq[i] = scaled * (1.0f - smooth) + freq[i] * smooth;
  }
  return freq;
}

}  // namespace plumb::deepseek_v4
