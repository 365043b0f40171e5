// The loops of one tier as a table. Included by the files of a tier only (see lanes.h).
#pragma once

#include "device/cpu/attention_loops.h"
#include "device/cpu/index_loops.h"
#include "device/cpu/multiply.h"
#include "device/cpu/row_loops.h"

namespace plumb::cpu::PLUMB_TIER {

// All but the products.
PLUMB_TIER_INLINE KernelTable make_row_table(const char* name) {
  KernelTable table{};
  table.name = name;
  table.attend_block = attend_block;
  table.attend_finish = attend_finish;
  table.decode_bf16 = decode_bf16;
  table.decode_e4m3 = decode_e4m3;
  table.decode_e2m1 = decode_e2m1;
  table.index_scores = index_scores;
  table.pack_index_queries = pack_index_queries;
  table.index_products = index_products;
  table.group_maxima = group_maxima;
  table.places_from = places_from;
  table.pool = pool;
  table.sum_of_squares = sum_of_squares;
  table.scale_row = scale_row;
  table.bf16_square_sum = bf16_square_sum;
  table.hyper_weights = hyper_weights;
  table.weigh_streams = weigh_streams;
  table.mix_streams = mix_streams;
  table.swiglu = swiglu;
  table.add = add_row;
  table.router_scores = router_scores;
  table.turns = turns;
  table.rotate = rotate;
  table.hadamard = hadamard;
  table.fake_quant_e4m3 = fake_quant_e4m3;
  table.fake_quant_e2m1 = fake_quant_e2m1;
  return table;
}

PLUMB_TIER_INLINE KernelTable make_table(const char* name) {
  KernelTable table = make_row_table(name);
  table.multiply = [](const TileProduct& a) { multiply_any(a); };
  return table;
}

}  // namespace plumb::cpu::PLUMB_TIER
