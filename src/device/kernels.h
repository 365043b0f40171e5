// Everything the model asks of hardware: one plain struct per operation, fields named as in the
// paper. Shapes in comments read [rows, cols]; t = tokens in this step.
//
// What an operation means, bit for bit, is stated by device/ref. Three orders of summation are used
// and every device keeps them (docs/KERNELS.md):
//   chain      acc = fma(a[k], b[k], acc), k ascending from acc = 0: all matrix products
//   lanes      16 partial chains, element i goes to lane i mod 16, then lanes are added pairwise
//              (l, l+8), (l, l+4), (l, l+2), (l, l+1): norms and dot products of two activations
//   ascending  a plain sum in ascending order: softmax denominators, sums over experts and streams
// So the result for one token never depends on which other tokens are in the step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/types.h"
#include "tensor/row_format.h"
#include "tensor/tensor.h"

namespace plumb {

// out[t] = (row of `table` for tokens[t]) repeated `copies` times side by side.
struct EmbedArgs {
  const Token* tokens = nullptr;  // [t], each in [0, table.rows)
  WeightView table;               // [vocab, d]
  int copies = 1;                 // residual streams
  Mat<float> out;                 // [t, copies * d]
};

// out = x * 1/sqrt(mean(x^2) + eps) [* gain]; mean in lanes. In place allowed.
struct RmsNormArgs {
  Mat<const float> x;           // [n, d]
  const float* gain = nullptr;  // [d]; null: unweighted
  float eps = 0;
  bool round_bf16 = false;      // one rounding at the end: gain * (x * r)
  bool bf16_chain = false;      // the reference's per-head query norm: square, mean, + eps, rsqrt and
                                // product are each rounded to bfloat16 (unweighted only)
  Mat<float> out;               // [n, d]
  int width = 0;                // > 0: every `width` columns are normed by themselves (unweighted only)
};

// x[:, first_col : first_col + cols] is replaced by its value after quantisation and back.
// kE4M3: per `block` columns, scale 2^ceil(log2(max(amax, 1e-4) * fp32(1/448))) by bit inspection
// (spec 4.3). kE2M1: amax floor 6 * 2^-126, factor fp32(1/6), ties to the even code (spec 4.4).
struct FakeQuantArgs {
  enum class Kind : std::uint8_t { kE4M3, kE2M1 };
  Mat<const float> x;  // [n, d]
  Kind kind = Kind::kE4M3;
  int first_col = 0;
  int cols = 0;
  int block = 128;
  Mat<float> out;      // [n, d]; may be x itself; columns outside the range are copied when it is not
};

// In place per `width` columns: y = H x * width^-0.5, H the Sylvester-ordered Hadamard matrix;
// butterflies with stride 1, 2, 4, ...; the factor last.
struct HadamardArgs {
  Mat<float> x;  // [n, heads * width], width a power of two
  int width = 0;
  bool round_bf16 = false;
};

// out[t][n] = W[n] . x[t] as one chain over k. k_block > 0: one chain per k_block columns, each
// started from zero and then added to the running sum (the reference's FP8 and FP4 products).
struct MatMulArgs {
  Mat<const float> x;  // [t, k]
  WeightView w;        // [n, k]
  int k_block = 0;
  bool round_bf16 = false;
  Mat<float> out;      // [t, n]
  bool fast = false;   // x as fast_input() says; sums in an order of the device's own, the same for
                       // every number of tokens; k_block is not looked at
};

// Rotates the last rope_dim columns of every head, interleaved pairs (spec 2.3), in place.
// angle = fp32(position) * freq as one fp32 product; sin and cos of that fp32 number, exact to fp32.
struct RopeArgs {
  Mat<float> x;                      // [n, heads * head_dim]
  const std::int64_t* position = nullptr;  // [n]
  const float* freq = nullptr;       // [rope_dim / 2]
  int head_dim = 0;
  int rope_dim = 0;
  bool inverse = false;
  bool round_bf16 = false;           // the rotated columns only
};

// mHC before a sublayer (spec 2.2): mixing weights from all streams, then their weighted sum.
struct HyperPreArgs {
  Mat<const float> streams;        // [t, hc * d], stream-major
  WeightView fn;                   // [(2 + hc) * hc, hc * d], F32
  const float* base = nullptr;     // [(2 + hc) * hc]
  const float* scale = nullptr;    // [3]
  int hc = 0;
  int iterations = 0;              // Sinkhorn
  float hc_eps = 0;
  float norm_eps = 0;
  bool round_bf16 = false;         // y only
  Mat<float> y;                    // [t, d]
  Mat<float> post;                 // [t, hc]
  Mat<float> comb;                 // [t, hc * hc], row-major C[j][k]
};

// mHC after a sublayer: X'[k][c] = post[k] F[c] + sum_j C[j][k] X[j][c]. In place allowed.
struct HyperPostArgs {
  Mat<const float> f;              // [t, d]
  Mat<const float> streams;        // [t, hc * d]
  Mat<const float> post;           // [t, hc]
  Mat<const float> comb;           // [t, hc * hc]
  int hc = 0;
  bool round_bf16 = false;
  Mat<float> out;                  // [t, hc * d]
};

// mHC at the end of the trunk and of the draft block: y = sum_j (sigmoid(m_j scale + base_j) + eps) X_j.
struct HyperHeadArgs {
  Mat<const float> streams;        // [t, hc * d]
  WeightView fn;                   // [hc, hc * d], F32
  const float* base = nullptr;     // [hc]
  const float* scale = nullptr;    // [1]
  int hc = 0;
  float hc_eps = 0;
  float norm_eps = 0;
  bool round_bf16 = false;
  Mat<float> y;                    // [t, d]
};

// Rows of one sequence kept by position: the last ones in a ring, those of this step beside it.
// Row of position p: p >= start ? fresh + (p - start) * width : ring + (p mod ring_rows) * width.
struct RowHistory {
  const float* ring = nullptr;
  int ring_rows = 0;
  const float* fresh = nullptr;    // dense, stride = width
  Pos start = 0;                   // first position of this step
};

// Rows of one sequence kept in pages: row r is at
// base + page_table[r / rows_per_page] * page_stride + (r mod rows_per_page) * row_bytes(format, width).
struct PagedRows {
  std::byte* base = nullptr;
  const std::int32_t* page_table = nullptr;
  int rows_per_page = 0;
  std::ptrdiff_t page_stride = 0;  // bytes
  RowFormat format;                // kF32: rows are aligned to 4 bytes
};

// The gated pooling of the compressor (spec 2.5), before its norm and rotation. A raw row is
// [P (c * D) | G (c * D)], c = 2 when overlapped, else 1; `ape` is added to G here.
// Entry i: per channel, softmax over its rows of (G + ape), weighted sum of P. Overlapped: rows are
// half A of the tokens of group i-1 (none for i = 0), then half B of the tokens of group i.
// Maximum first, then exp(g - max), numerator and denominator as plain ascending sums.
struct CompressArgs {
  struct Entry {
    std::int32_t sequence = 0;     // index into history
    std::int64_t index = 0;        // entry i
  };
  const RowHistory* history = nullptr;  // [sequences]
  std::span<const Entry> entries;
  const float* ape = nullptr;      // [ratio, c * D]
  int ratio = 0;
  bool overlap = false;
  int dim = 0;                     // D
  bool round_bf16 = false;
  Mat<float> out;                  // [entries, D]
};

// Appends finished rows to their pages: rows.row(i) becomes row index[i] of pages[sequence[i]], by
// encode_row. No two of them are the same row.
struct StoreRowsArgs {
  Mat<const float> rows;                   // [n, width]
  const std::int32_t* sequence = nullptr;  // [n]
  const std::int64_t* index = nullptr;     // [n]
  const PagedRows* pages = nullptr;        // [sequences]
};

// The indexer (spec 2.7): score[i] = sum_n w'[n] * max(0, q[n] . key_i) with w' = w * w_scale (rounded
// to bfloat16 where asked), heads ascending (fma chain over n from 0 on w'[n] and the clipped
// product), dot products in lanes; the top_k largest among
// i < visible[t], lower index first on ties; written in ascending order of index. When
// visible <= top_k all are taken and nothing is scored.
struct IndexTopKArgs {
  Mat<const float> q;                      // [t, heads * dim]
  Mat<const float> w;                      // [t, heads]
  float w_scale = 1;
  bool round_bf16 = false;                 // w' only
  const std::int32_t* sequence = nullptr;  // [t]
  const std::int64_t* visible = nullptr;   // [t]
  const PagedRows* keys = nullptr;         // [sequences], rows of width dim
  int heads = 0;
  int dim = 0;
  int top_k = 0;
  Mat<std::int32_t> selected;              // [t, top_k]
  std::int32_t* count = nullptr;           // [t]
};

// Attention with a sink over window rows and compressed rows, K = V = the row itself (spec 2.4).
// Order: window rows ascending by position in blocks cut at multiples of 64 of the absolute position;
// then compressed rows ascending by id in blocks of 64 consecutive places of that list. With
// list_blocks, blocks are 64 consecutive places of one list as the reference lays it out: place j is
// the window's row j (the oldest first), place window + i the i-th compressed row. Per block and
// head: scores (lanes) * scale; M' = max(M, block max); factor exp(M - M') on the sums so far; then
// per row ascending den += p and acc[c] = fma(p, row[c], acc[c]), p = exp(s - M') (rounded to bfloat16
// for the weighted sum, not for den, where asked). Last: den += exp(sink - M); out = acc / den.
struct AttendArgs {
  Mat<const float> q;                      // [t, heads * dim]
  const std::int32_t* sequence = nullptr;  // [t]
  const std::int64_t* position = nullptr;  // [t]
  const RowHistory* window_rows = nullptr; // [sequences], rows of width dim
  int window = 0;                          // rows of positions max(0, p - window + 1) .. p
  const PagedRows* compressed = nullptr;   // [sequences], or null: window only
  const std::int64_t* visible = nullptr;   // [t]: rows 0 .. visible-1 may be seen
  Mat<const std::int32_t> selected;        // [t, top_k] ascending; data null: all visible
  const std::int32_t* count = nullptr;     // [t], with `selected`
  const float* sink = nullptr;             // [heads]
  int heads = 0;
  int dim = 0;
  float scale = 0;
  bool list_blocks = false;
  bool round_probabilities = false;
  bool round_bf16 = false;                 // the output
  bool fast = false;                       // queries, rows and weights as bfloat16 and sums in an order
                                           // of the device's own, the same in any company; list_blocks
                                           // and round_probabilities are then not looked at
  Mat<float> out;                          // [t, heads * dim]
};

// Routing (spec 2.8): s = sqrt(softplus(gate . x)). Experts: from `table` by token id where given,
// else the top k of s + bias (lower index wins ties). Weights: s_e / (sum over the chosen, ascending
// by id) * route_scale. Written in ascending order of expert id.
struct RouteArgs {
  Mat<const float> x;                      // [t, d]
  WeightView gate;                         // [experts, d]
  const float* bias = nullptr;             // [experts], learned router
  const std::int64_t* table = nullptr;     // [vocab, k], hash router
  const Token* tokens = nullptr;           // [t], hash router
  int k = 0;
  float route_scale = 1;
  Mat<std::int32_t> expert;                // [t, k]
  Mat<float> weight;                       // [t, k]
};

struct ExpertWeights {
  WeightView w1, w3;  // gate and up, [inter, d]
  WeightView w2;      // down, [d, inter]
};

// Experts (spec 2.8): g = w1 x, u = w3 x; u clamped to +-clamp, g to at most clamp;
// a = silu(g) * u * weight; y_e = w2 a. out = (sum of y_e over chosen experts, ascending id) + shared(x).
struct MoeArgs {
  Mat<const float> x;                      // [t, d]
  Mat<const std::int32_t> expert;          // [t, k] ascending per row
  Mat<const float> weight;                 // [t, k]
  std::span<const ExpertWeights> experts;
  ExpertWeights shared;
  float clamp = 0;                         // <= 0: none
  int k_block_up = 0, k_block_down = 0;    // routed experts' products, as in MatMulArgs
  int k_block_shared = 0;
  bool quantise_inputs = false;            // E4M3 per 128 before every product
  bool round_bf16 = false;                 // products, the activation, and the final sum (once)
  bool fast = false;                       // the products, as in MatMulArgs
  Mat<float> out;                          // [t, d]
};

// `ref` implements all of it in plain C++ and is the oracle; `cpu` derives from it and overrides what
// it does faster, to the same bytes. Preconditions are checked by the model once, at load: kernels do
// not validate, log or throw. Calls are in order; scratch belongs to the device.
class Kernels {
 public:
  virtual ~Kernels() = default;
  virtual void embed(const EmbedArgs&) = 0;
  virtual void rms_norm(const RmsNormArgs&) = 0;
  virtual void fake_quant(const FakeQuantArgs&) = 0;
  virtual void hadamard(const HadamardArgs&) = 0;
  virtual void matmul(const MatMulArgs&) = 0;
  virtual void rope(const RopeArgs&) = 0;
  virtual void hyper_pre(const HyperPreArgs&) = 0;
  virtual void hyper_post(const HyperPostArgs&) = 0;
  virtual void hyper_head(const HyperHeadArgs&) = 0;
  virtual void compress(const CompressArgs&) = 0;
  virtual void store_rows(const StoreRowsArgs&) = 0;
  virtual void index_top_k(const IndexTopKArgs&) = 0;
  virtual void attend(const AttendArgs&) = 0;
  virtual void route(const RouteArgs&) = 0;
  virtual void moe(const MoeArgs&) = 0;
};

}  // namespace plumb
