// Packed rows of sequences (tensor/row_format.h) as fp32. Included by the files of a tier only (see
// lanes.h).
#pragma once

#include "device/cpu/lanes.h"
#include "device/cpu/table.h"

namespace plumb::cpu::PLUMB_TIER {

PLUMB_TIER_INLINE float scale_at(const std::byte* scales, int i) {
  return e8m0_to_float(static_cast<std::uint8_t>(scales[i]));
}

static void decode_bf16(const std::byte* from, int n, float* to) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, widen_bf16(from + 2 * i));
  for (; i < n; ++i) {
    const auto low = static_cast<unsigned>(from[2 * i]);
    const auto high = static_cast<unsigned>(from[2 * i + 1]);
    to[i] = bf16_to_float(static_cast<std::uint16_t>(low | high << 8));
  }
}

// `coded` columns, then `plain` ones.
static void decode_e4m3(const std::byte* from, int coded, int plain, float* to) {
  const std::byte* scales = from + coded + 2 * plain;
  for (int first = 0; first < coded; first += kE4M3RowBlock) {
    const int end = coded < first + kE4M3RowBlock ? coded : first + kE4M3RowBlock;
    const float scale = scale_at(scales, first / kE4M3RowBlock);
    const V wide = splat(scale * 256.0f);  // finite: encode_row keeps scales to 2^119, or NaN
    int i = first;
    for (; i + kLanes <= end; i += kLanes) store(to + i, mul(widen_e4m3(from + i), wide));
    for (; i < end; ++i) to[i] = e4m3_to_float(static_cast<std::uint8_t>(from[i])) * scale;
  }
  decode_bf16(from + coded, plain, to + coded);
}

static void decode_e2m1(const std::byte* from, int n, float* to) {
  constexpr int kHalf = kE2M1RowBlock / 2;
  static_assert(kHalf == kLanes);
  const int blocks = (n + kE2M1RowBlock - 1) / kE2M1RowBlock;
  const std::byte* scales = from + blocks * kHalf;
  for (int b = 0; b < blocks; ++b) {
    const V scale = splat(scale_at(scales, b));
    V low, high;
    widen_e2m1(from + b * kHalf, low, high);
    low = mul(low, scale);
    high = mul(high, scale);
    if ((b + 1) * kE2M1RowBlock <= n) {
      store(to + b * kE2M1RowBlock, low);
      store(to + b * kE2M1RowBlock + kLanes, high);
      continue;
    }
    float block[kE2M1RowBlock];
    store(block, low);
    store(block + kLanes, high);
    for (int i = b * kE2M1RowBlock; i < n; ++i) to[i] = block[i % kE2M1RowBlock];
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
