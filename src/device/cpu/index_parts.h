// The indexer's scores of packed keys by integer products. Included by the files of a tier only
// (see lanes.h).
//
// The bits are those of index_scores() on unpacked rows. Both factors are small integers times
// powers of two: doubled codes of at most 12, shifted left where a block's scale is above the least
// one of its row. With shifts of at most 3 every product and every partial sum of 128 of them is an
// integer below 2^24 times one power of two, so no order of adding in fp32 rounds anything either.
// A row whose scales differ by more, or that holds what is no number, takes the fp32 loop.
#pragma once

#include "device/cpu/attention_loops.h"
#include "device/cpu/cache_rows.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kIndexDim = kPackedIndexDim, kIndexBlocks = kIndexDim / kE2M1RowBlock;
inline constexpr int kKeyGroups = kPackedIndexKeys / kLanes;
inline constexpr int kMostShift = 3;
inline constexpr int kLeastExponent = 67, kMostExponent = 187;  // biased; products stay normal

// The scales of a row's blocks brought to the least of them: shift[b] and 2^(least - 127). Blocks
// of zeros have no say. False when they differ too much.
PLUMB_TIER_INLINE bool common_scale(const int* exponent, const bool* zero, int* shift,
                                    float* scale) {
  int least = 255, most = 0;
  for (int b = 0; b < kIndexBlocks; ++b) {
    if (zero[b]) continue;
    least = exponent[b] < least ? exponent[b] : least;
    most = exponent[b] > most ? exponent[b] : most;
  }
  if (most == 0) least = most = 127;
  for (int b = 0; b < kIndexBlocks; ++b) shift[b] = zero[b] ? 0 : exponent[b] - least;
  *scale = e8m0_to_float(static_cast<std::uint8_t>(least));
  return most - least <= kMostShift && least >= kLeastExponent && most <= kMostExponent;
}

// One token's queries: the codes of each head, in the tier's order; the heads' scales (0: not to be
// had as integers); and what a sum starts from.
template <class Byte, class Code, class Scale, class Start>
struct QueryParts {
  Code* codes;
  Scale* scale;
  Start* start;

  QueryParts(Byte* memory, int heads)
      : codes(reinterpret_cast<Code*>(memory)),
        scale(reinterpret_cast<Scale*>(memory + heads * kPackedIndexCodes)),
        start(reinterpret_cast<Start*>(memory + heads * (kPackedIndexCodes + 4))) {}
};

// A key's blocks: how far their codes are shifted, and the scale they then share.
PLUMB_TIER_INLINE bool key_shifts(const std::byte* key, int* shift, float* scale) {
  int exponent[kIndexBlocks];
  bool zero[kIndexBlocks];
  for (int b = 0; b < kIndexBlocks; ++b) {
    exponent[b] = static_cast<int>(key[kIndexDim / 2 + b]);
    zero[b] = false;
    if (exponent[b] < kLeastExponent) {
      std::uint64_t codes[2];
      __builtin_memcpy(codes, key + 16 * b, sizeof codes);
      zero[b] = ((codes[0] | codes[1]) & 0x7777777777777777) == 0;
    }
  }
  return common_scale(exponent, zero, shift, scale);
}

}  // namespace plumb::cpu::PLUMB_TIER
