#include "device/ref/index.h"

#include <array>
#include <numeric>
#include <vector>

#include "device/ref/kernels.h"
#include "device/ref/order.h"
#include "device/ref/rows.h"

namespace plumb {

namespace {

// Unsigned keys in the order of the scores; both zeros are one, every NaN is above infinity.
std::uint32_t ordered_key(float score) {
  if (score != score) return 0xffffffffu;
  const std::uint32_t bits = float_bits(score + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// The value of the k-th largest key; `equal` is how many keys of that value are among the k. Finds
// it digit by digit from the top.
std::uint32_t kth_largest(const std::uint32_t* keys, std::int64_t n, std::int64_t k,
                          std::int64_t* equal) {
  constexpr int kDigitBits = 11;
  std::uint32_t prefix = 0, known = 0;  // the digits found, and the mask of their bits
  for (const int shift : {21, 10, 0}) {
    const std::uint32_t digit_mask = shift == 0 ? 0x3ffu : 0x7ffu;
    std::array<std::int32_t, 1 << kDigitBits> count{};
    for (std::int64_t i = 0; i < n; ++i) {
      if ((keys[i] & known) == prefix) ++count[(keys[i] >> shift) & digit_mask];
    }
    std::uint32_t digit = digit_mask;
    for (; count[digit] < k; --digit) k -= count[digit];
    prefix |= digit << shift;
    known |= digit_mask << shift;
  }
  *equal = k;
  return prefix;
}

}  // namespace

void ref::select_top_k(const float* score, std::int64_t n, int top_k, std::uint32_t* keys,
                       std::int32_t* selected) {
  if (top_k <= 0) return;
  for (std::int64_t i = 0; i < n; ++i) keys[i] = ordered_key(score[i]);
  std::int64_t equal = 0;
  const std::uint32_t least = kth_largest(keys, n, top_k, &equal);
  for (std::int64_t i = 0; i < n; ++i) {
    if (keys[i] > least || (keys[i] == least && equal-- > 0)) {
      *selected++ = static_cast<std::int32_t>(i);
    }
  }
}

void RefKernels::index_top_k(const IndexTopKArgs& a) {
  std::vector<float> score, scratch(static_cast<std::size_t>(a.dim));
  std::vector<float> w(static_cast<std::size_t>(a.heads));
  std::vector<std::uint32_t> keys;
  for (int t = 0; t < a.q.rows; ++t) {
    std::int32_t* selected = a.selected.row(t);
    const std::int64_t visible = a.visible[t];
    if (visible <= a.top_k) {
      std::iota(selected, selected + visible, 0);
      a.count[t] = static_cast<std::int32_t>(visible);
      continue;
    }
    score.resize(static_cast<std::size_t>(visible));
    keys.resize(static_cast<std::size_t>(visible));
    for (std::size_t n = 0; n < w.size(); ++n) {
      w[n] = round_if(a.round_bf16, a.w.row(t)[n] * a.w_scale);
    }
    for (std::int64_t i = 0; i < visible; ++i) {
      const float* key = ref::read_paged_row(a.keys[a.sequence[t]], i, a.dim, scratch.data());
      float sum = 0;
      for (int n = 0; n < a.heads; ++n) {
        const float dot = ref::lanes(a.q.row(t) + n * a.dim, key, a.dim);
        sum = __builtin_fmaf(w[static_cast<std::size_t>(n)], dot > 0.0f ? dot : 0.0f, sum);
      }
      score[static_cast<std::size_t>(i)] = sum;
    }
    ref::select_top_k(score.data(), visible, a.top_k, keys.data(), selected);
    a.count[t] = a.top_k;
  }
}

}  // namespace plumb
