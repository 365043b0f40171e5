// Products of `fast` numerics: E2M1 weights with int8 activations, E4M3 and bfloat16 weights with
// bfloat16 activations. Included by the files of tiers that have both dot products (see lanes.h).
//
// An output is one chain over k here too: the same for one token and for many. Few tokens decode
// weights between products, in registers (multiply_few.h); many have them decoded beforehand
// (multiply_many.h).
#pragma once

#include "device/cpu/multiply_few.h"
#include "device/cpu/multiply_many.h"

namespace plumb::cpu::PLUMB_TIER {

template <Element E, int S>
PLUMB_TIER_INLINE void fast_tiles(const TileProduct& a, int panel, int sub) {
  if (a.tokens < kManyFrom) return few_tokens<E, S>(a, panel, sub);
  if (suits_many<E>(a.shape)) return many_tokens<E, S>(a, panel, sub);
  TileProduct some = a;
  for (int token = 0; token < a.tokens; token += some.tokens) {
    some.out = a.out + token;
    some.prepared = a.prepared + token;
    some.tokens = a.tokens - token < kTokensAtOnce ? a.tokens - token : kTokensAtOnce;
    few_tokens<E, S>(some, panel, sub);
  }
}

template <Element E>
void fast_element(const TileProduct& a) {
  all_tiles(a, [&]<int S>(int panel, int sub) { fast_tiles<E, S>(a, panel, sub); });
}

static void multiply_prepared(const TileProduct& a) {
  switch (a.element) {
    case Element::kF8E4M3:
      return fast_element<Element::kF8E4M3>(a);
    case Element::kBF16:
      return fast_element<Element::kBF16>(a);
    case Element::kF4E2M1:
      return fast_element<Element::kF4E2M1>(a);
    default:
      return;  // fast_input() names no others
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
