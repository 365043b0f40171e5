// The inner loops of one instruction set: plain functions on plain pointers, one thread, no state.
// Every tier gives the bits of device/ref; they differ only in speed.
//
// Files of a tier are compiled for processors that the rest of the program may not assume, so they
// include no header whose inline functions another file could end up sharing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/cpu/tiles.h"
#include "device/fast_input.h"
#include "tensor/row_format.h"
#include "tensor/tensor.h"

namespace plumb::cpu {

// out[m][n] = W[n] . x[m] for the rows n of tiles [first_tile, last_tile).
struct TileProduct {
  const std::byte* data = nullptr;  // of the whole tiled weight
  Element element = Element::kF32;
  TileShape shape;
  const float* const* x = nullptr;  // [tokens] rows of shape.cols
  float* const* out = nullptr;      // [tokens] results from row first_row on
  int tokens = 0;
  int k_block = 0;  // as in MatMulArgs; even for E2M1
  bool round_bf16 = false;
  int first_tile = 0;
  int last_tile = 0;
  const std::byte* const* prepared = nullptr;  // [tokens], multiply_prepared(): instead of x
  int first_row = 0;                           // that out[m][0] stands for
};

// One head's softmax so far.
struct AttendState {
  float* acc = nullptr;  // [dim]
  float top = 0;
  float den = 0;
};

struct AttendShape {
  int dim = 0;
  float scale = 0;
  bool round_probabilities = false;
};

// Attention of `fast` numerics: 16 heads in lanes, rows unpacked by 16, softmax over parts of 128.
inline constexpr int kAttendLanes = 16, kAttendRows = 16, kAttendPartRows = 128;
inline constexpr int kAttendMostDim = 512;  // a multiple of 32
// Bytes from row to row of keys, and from 16 columns to the next ones of values; not powers of two,
// lest many fall into few cache sets.
inline constexpr std::ptrdiff_t kAttendKeyStride = 2 * kAttendMostDim + 64;
inline constexpr std::ptrdiff_t kAttendValueStride = kAttendPartRows / 2 * 64 + 64;
struct AttendPart {
  float* top = nullptr;  // [16] largest score
  float* den = nullptr;  // [16] sum of exp(score - top)
  float* acc = nullptr;  // [dim][16] the same, weighted with the rows
};

// One row of a compressor's pool, from the channel where its half begins.
struct PooledRow {
  const float* values = nullptr;
  const float* gates = nullptr;
  const float* ape = nullptr;
};

// score[t][i] = sum_n w[t][n] max(0, q[t][n] . keys[i]) of packed keys (kRowE2M1) of
// kPackedIndexDim columns, for tokens that share them. `packed` holds what pack_index_queries made
// of q.
inline constexpr int kPackedIndexDim = 128, kPackedIndexKeys = 64;
inline constexpr int kPackedIndexCodes = 2 * kPackedIndexDim;  // bytes of one head, at most
constexpr std::int64_t packed_query_bytes(int heads) {
  return std::int64_t{heads} * (kPackedIndexCodes + 8);
}
struct IndexProduct {
  const std::byte* const* keys = nullptr;
  int count = 0;  // of keys, at most kPackedIndexKeys
  int heads = 0;
  int tokens = 0;
  const float* const* q = nullptr;           // [tokens], each [heads * kPackedIndexDim]
  const std::byte* const* packed = nullptr;  // [tokens]
  const float* const* w = nullptr;           // [tokens], each [heads]
  float* const* score = nullptr;             // [tokens], each with room for kPackedIndexKeys
  float* scratch = nullptr;                  // [kPackedIndexKeys * kPackedIndexDim]
};

struct KernelTable {
  const char* name = nullptr;
  void (*multiply)(const TileProduct&) = nullptr;
  // Products of `fast` numerics for the weights that fast_input() names; null: this instruction set
  // has nothing better than multiply() with rounded activations. A prepared row is the tier's own
  // form of one. k_block and round_bf16 are not looked at.
  std::size_t (*prepared_bytes)(FastInput kind, int cols) = nullptr;
  void (*prepare)(FastInput kind, const float* x, int cols, std::byte* out) = nullptr;
  void (*multiply_prepared)(const TileProduct&) = nullptr;
  bool prepares_bf16 = false;  // else multiply_prepared() is for FastInput::kInt8 alone
  // Up to 64 rows of one block, in order, for every head: q[h] and states[h].
  void (*attend_block)(const AttendShape&, const float* const* q, const float* const* rows,
                       int count, AttendState* states, int heads) = nullptr;
  void (*attend_finish)(const AttendState& state, float sink, int dim, bool round_bf16,
                        float* out) = nullptr;
  // For `fast` numerics; null: this instruction set has nothing better than the above.
  // q[heads][dim] as pairs of bfloat16 columns: out[dim / 2][16 heads].
  void (*attend_queries)(const float* q, int heads, int dim, std::byte* out) = nullptr;
  // 16 rows as keys, row by row, and as values: per 16 columns, pairs of rows.
  void (*attend_rows)(const float* const* rows, int dim, std::byte* keys,
                      std::byte* values) = nullptr;
  // score[16 rows][16 heads], not yet scaled.
  void (*attend_scores)(const std::byte* q, const std::byte* keys, int dim, float* score) = nullptr;
  // Rows [first, last) of a part.
  void (*attend_weigh)(const float* score, int first, int last, float scale,
                       const std::byte* values, int dim, const AttendPart& part) = nullptr;
  void (*attend_merge)(const AttendPart& part, int dim, const AttendPart& sum) = nullptr;
  // out[heads][dim], with the sinks.
  void (*attend_close)(const AttendPart& sum, const float* sink, int heads, int dim,
                       bool round_bf16, float* out) = nullptr;
  // Rows of these formats (tensor/row_format.h), at any alignment.
  void (*decode_bf16)(const std::byte* from, int n, float* to) = nullptr;
  void (*decode_e4m3)(const std::byte* from, int coded, int plain, float* to) = nullptr;
  void (*decode_e2m1)(const std::byte* from, int n, float* to) = nullptr;
  // score[i] = sum_n w[n] max(0, q[n] . rows[i]).
  void (*index_scores)(const float* q, const float* w, int heads, int dim, const float* const* rows,
                       int count, float* score) = nullptr;
  // The same bits for packed keys; null: this instruction set has nothing better.
  void (*pack_index_queries)(const float* q, int heads, std::byte* out) = nullptr;
  void (*index_products)(const IndexProduct&) = nullptr;
  // index_loops.h.
  bool (*group_maxima)(const float* score, std::int64_t groups, int vectors,
                       float* maxima) = nullptr;
  std::int64_t (*places_from)(const float* score, std::int64_t n, float least,
                              std::int32_t* place) = nullptr;
  void (*pool)(const PooledRow* rows, int count, int dim, bool round_bf16, float* out) = nullptr;
  float (*sum_of_squares)(const float* x, int n) = nullptr;  // in lanes
  void (*scale_row)(const float* x, const float* gain, float r, int n, bool round_bf16,
                    float* out) = nullptr;
  float (*bf16_square_sum)(const float* x,
                           int n) = nullptr;  // in lanes, each square rounded to bfloat16
  // ref::hyper_weights of one token.
  void (*hyper_weights)(const float* m, float rho, const float* scale, const float* base, int hc,
                        int iterations, float eps, float* pre, float* post, float* comb) = nullptr;
  void (*weigh_streams)(const float* x, const float* pre, int hc, int d, bool round_bf16,
                        float* y) = nullptr;
  void (*mix_streams)(const float* f, const float* x, const float* post, const float* comb, int hc,
                      int d, bool round_bf16, float* out) = nullptr;
  // g = silu(min(g, clamp)) * clamp(u) * weight; clamp <= 0: none.
  void (*swiglu)(float* g, const float* u, int n, float clamp, float weight,
                 bool round_bf16) = nullptr;
  void (*add)(const float* x, int n, bool round_bf16, float* sum) = nullptr;  // sum += x
  void (*router_scores)(float* z, int n) = nullptr;                           // in place
  void (*turns)(float position, const float* freq, int n, float* cos, float* sin) = nullptr;
  // Columns first .. first + 2 n of every head.
  void (*rotate)(float* x, int cols, int head_dim, int first, int n, const float* cos,
                 const float* sin, bool inverse, bool round_bf16) = nullptr;
  void (*hadamard)(float* x, int width, float factor, bool round_bf16) = nullptr;
  void (*fake_quant_e4m3)(const float* x, int cols, int block, float* out) = nullptr;
  void (*fake_quant_e2m1)(const float* x, int cols, int block, float* out) = nullptr;
};

const KernelTable& baseline_table();
#if defined(__x86_64__)
const KernelTable& avx2_table();
const KernelTable& avx512_table();
const KernelTable& avx512_bf16_table();
#elif defined(__aarch64__)
const KernelTable& neon_table();
const KernelTable& neon_bf16_table();
#endif

}  // namespace plumb::cpu
