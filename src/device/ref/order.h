// The orders of summation that give every result its bits (docs/KERNELS.md).
#pragma once

#include "tensor/number.h"

namespace plumb::ref {

// acc = fma(a[k], b[k], acc), k ascending.
PLUMB_INLINE float chain(const float* a, const float* b, int n, float acc = 0) {
  for (int k = 0; k < n; ++k) acc = __builtin_fmaf(a[k], b[k], acc);
  return acc;
}

// With blocks: one chain per block, each from zero, added to a running sum from zero.
PLUMB_INLINE float blocked_chain(const float* a, const float* b, int n, int block) {
  if (block <= 0) return chain(a, b, n);
  float sum = 0;
  for (int k = 0; k < n; k += block) sum += chain(a + k, b + k, n - k < block ? n - k : block);
  return sum;
}

// Element i goes to the chain of lane i mod 16; then lanes are added pairwise.
PLUMB_INLINE float add_lanes(float (&lane)[16]) {
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  }
  return lane[0];
}

PLUMB_INLINE float lanes(const float* a, const float* b, int n) {
  float lane[16] = {};
  for (int i = 0; i < n; ++i) lane[i % 16] = __builtin_fmaf(a[i], b[i], lane[i % 16]);
  return add_lanes(lane);
}

}  // namespace plumb::ref
