// The published worked examples, on the oracle.
#include "device/ref/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "device/ref/device.h"
#include "device/ref/hyper.h"
#include "device/ref/index.h"
#include "tensor/format.h"
#include "tensor/number.h"

namespace plumb {
namespace {

Mat<float> mat(std::vector<float>& v, int rows, int cols) {
  return Mat<float>::dense(v.data(), rows, cols);
}

WeightView f32_weight(const std::vector<float>& v, int rows, int cols) {
  return {reinterpret_cast<const std::byte*>(v.data()), nullptr, kFormatF32, rows, cols};
}

TEST(RefHyper, mixing_weights_match_the_published_vector) {
  std::vector<float> m(24), base(24), post(4), comb(16), pre(4);
  const std::vector<float> scale = {0.5f, 0.75f, 1.25f};
  for (int i = 0; i < 24; ++i) {
    m[static_cast<std::size_t>(i)] = static_cast<float>((7 * i) % 24 - 12) / 8;
    base[static_cast<std::size_t>(i)] = 0.01f * static_cast<float>(i - 10);
  }
  ref::hyper_weights(m.data(), 1.0f, scale.data(), base.data(), 4, 20, 1e-6f, pre.data(),
                     post.data(), comb.data());
  const float expected_pre[] = {0.2994339f, 0.4007128f, 0.5112491f, 0.6206962f};
  const float expected_post[] = {0.6157810f, 0.9282485f, 1.2554643f, 0.5141413f};
  const float expected_comb[] = {0.0664828f, 0.1152852f, 0.7517478f, 0.0664832f,
                                 0.2499995f, 0.4335169f, 0.0664830f, 0.2499996f,
                                 0.2499995f, 0.4335169f, 0.0664830f, 0.2499996f,
                                 0.4335172f, 0.0176800f, 0.1152851f, 0.4335167f};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(pre[i], expected_pre[i], 1e-6);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(post[i], expected_post[i], 1e-6);
  for (std::size_t i = 0; i < 16; ++i) EXPECT_NEAR(comb[i], expected_comb[i], 1e-6);

  std::vector<float> f = {3}, x = {1, 2, -1, 0.5f};
  HyperPostArgs b;
  b.f = mat(f, 1, 1);
  b.streams = mat(x, 1, 4);
  b.post = mat(post, 1, 4);
  b.comb = mat(comb, 1, 16);
  b.hc = 4;
  b.out = mat(x, 1, 4);
  RefKernels().hyper_post(b);
  const float expected[] = {2.380584f, 3.342388f, 4.642266f, 2.075665f};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(x[i], expected[i], 5e-6);
}

// hyper_pre and hyper_head from the streams on: with fn chosen so that m = rho * (known sums).
TEST(RefHyper, pre_and_head_weigh_the_streams) {
  std::vector<float> x = {1, 2, -1, 0.5f}, fn(24 * 4), base(24, 0.0f), y(1), post(4), comb(16);
  const std::vector<float> scale = {1, 1, 1};
  fn[0] = 1;  // m[0] = rho * x[0]
  HyperPreArgs a{
      mat(x, 1, 4), f32_weight(fn, 24, 4), base.data(),     scale.data(),    4, 20, 1e-6f, 1e-6f,
      false,        mat(y, 1, 1),          mat(post, 1, 4), mat(comb, 1, 16)};
  RefKernels().hyper_pre(a);
  const double rho = 1 / std::sqrt((1 + 4 + 1 + 0.25) / 4 + 1e-6);
  const double first = 1 / (1 + std::exp(-rho)) + 1e-6;
  EXPECT_NEAR(y[0], first * 1 + (0.5 + 1e-6) * 1.5, 1e-6);
  for (const float p : post) EXPECT_EQ(p, 1.0f);
  for (const float c : comb) EXPECT_NEAR(c, 0.25f, 1e-5);
  HyperHeadArgs h{mat(x, 1, 4), f32_weight(fn, 4, 4), base.data(), scale.data(), 4, 1e-6f, 1e-6f,
                  false,        mat(y, 1, 1)};
  y[0] = 0;
  RefKernels().hyper_head(h);
  EXPECT_NEAR(y[0], first * 1 + (0.5 + 1e-6) * 1.5, 1e-6);
}

TEST(RefAttend, sink_takes_its_share) {
  // Rows are one-hot in two dimensions, so that scores (1, -0.5, 2) appear as products with q.
  std::vector<float> q = {1, 1}, rows = {1, 0, -0.5f, 0, 0, 2}, out(2);
  const std::int32_t sequence = 0;
  const std::int64_t position = 2;
  const float sink = 0.7f;
  RowHistory history{nullptr, 0, rows.data(), 0};
  AttendArgs a;
  a.q = mat(q, 1, 2);
  a.sequence = &sequence;
  a.position = &position;
  a.window_rows = &history;
  a.window = 128;
  a.sink = &sink;
  a.heads = 1;
  a.dim = 2;
  a.scale = 1;
  a.out = mat(out, 1, 2);
  RefKernels().attend(a);
  EXPECT_NEAR(out[0], 0.2135734 * 1 + 0.0476547 * -0.5, 1e-6);
  EXPECT_NEAR(out[1], 0.5805528 * 2, 1e-6);
}

TEST(RefCompress, overlapped_pooling_matches_the_published_toy) {
  // A raw row is [P_A, P_B, G_A, G_B].
  std::vector<float> raw(8 * 4), out(2);
  for (int t = 0; t < 8; ++t) {
    float* row = raw.data() + t * 4;
    row[0] = 0.1f * static_cast<float>(t + 1);
    row[1] = -0.2f * static_cast<float>(t + 1);
    row[2] = 0.3f * static_cast<float>(t);
    row[3] = 0.2f * static_cast<float>(7 - t);
  }
  const std::vector<float> ape = {0, 0.1f, 0.1f, 0, -0.1f, 0.2f, 0.2f, -0.2f};
  const CompressArgs::Entry entries[] = {{0, 0}, {0, 1}};
  // The first three rows come from a ring of seven, the others from this step.
  std::vector<float> ring(7 * 4);
  std::copy_n(raw.begin(), 12, ring.begin());
  const RowHistory history{ring.data(), 7, raw.data() + 12, 3};
  CompressArgs a;
  a.history = &history;
  a.entries = entries;
  a.ape = ape.data();
  a.ratio = 4;
  a.overlap = true;
  a.dim = 1;
  a.out = mat(out, 2, 1);
  RefKernels().compress(a);
  EXPECT_NEAR(out[0], -0.43835997, 1e-6);
  EXPECT_NEAR(out[1], -0.39409610, 1e-6);
}

TEST(RefRoute, matches_the_published_example) {
  std::vector<float> x = {1}, gate = {0, 1, -2, 3, -30, 5, 0.5f, -0.5f}, weight(3);
  const std::vector<float> bias = {0, 0, 2, 0, 0, -3, 0.1f, 0};
  std::vector<std::int32_t> expert(3);
  RouteArgs a;
  a.x = mat(x, 1, 1);
  a.gate = f32_weight(gate, 8, 1);
  a.bias = bias.data();
  a.k = 3;
  a.route_scale = 1.5f;
  a.expert = Mat<std::int32_t>::dense(expert.data(), 1, 3);
  a.weight = mat(weight, 1, 3);
  RefKernels().route(a);
  EXPECT_EQ(expert, (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_NEAR(weight[0], 0.5291944, 1e-6);
  EXPECT_NEAR(weight[1], 0.1645199, 1e-6);
  EXPECT_NEAR(weight[2], 0.8062857, 1e-6);

  const std::int64_t table[] = {0, 1, 2, 7, 5, 4};
  const Token token = 1;
  a.table = table;
  a.tokens = &token;
  RefKernels().route(a);
  EXPECT_EQ(expert, (std::vector<std::int32_t>{4, 5, 7}));
  const double s4 = 3.059e-07, s5 = 2.237569, s7 = 0.6885325;
  EXPECT_NEAR(weight[1], 1.5 * s5 / (s4 + s5 + s7), 1e-6);
}

TEST(RefMoe, clamped_swiglu_check_values) {
  const double cases[][3] = {{12, 15, 99.9954602}, {-12, -15, 7.373e-4}, {0.5, -0.25, -0.0778074}};
  for (const auto& [g, u, expected] : cases) {
    std::vector<float> x = {1}, w1 = {static_cast<float>(g)}, w3 = {static_cast<float>(u)},
                       one = {1};
    std::vector<float> none = {0}, weight = {0.5f}, out(1);
    const ExpertWeights expert{f32_weight(w1, 1, 1), f32_weight(w3, 1, 1), f32_weight(one, 1, 1)};
    const ExpertWeights shared{f32_weight(none, 1, 1), f32_weight(none, 1, 1),
                               f32_weight(one, 1, 1)};
    std::vector<std::int32_t> id = {0};
    MoeArgs a;
    a.x = mat(x, 1, 1);
    a.expert = Mat<std::int32_t>::dense(id.data(), 1, 1);
    a.weight = mat(weight, 1, 1);
    a.experts = {&expert, 1};
    a.shared = shared;
    a.clamp = 10;
    a.out = mat(out, 1, 1);
    RefKernels().moe(a);
    EXPECT_NEAR(out[0], expected / 2, 1e-6 * std::max(1.0, std::abs(expected)));
    a.experts = {};
    a.expert.cols = 0;
    a.shared = expert;
    RefKernels().moe(a);
    EXPECT_NEAR(out[0], expected, 1e-6 * std::max(1.0, std::abs(expected)));
  }
}

TEST(RefQuant, published_examples) {
  std::vector<float> x = {9, 0.10009766f, -3.296875f,  2.5f, 0.0078125f,
                          1, -0.75f,      0.30078125f, 0,    7};
  FakeQuantArgs a{mat(x, 1, 10), FakeQuantArgs::Kind::kE4M3, 1, 8, 128, mat(x, 1, 10)};
  std::vector<float> out(10);
  a.out = mat(out, 1, 10);
  RefKernels().fake_quant(a);
  EXPECT_EQ(
      out, (std::vector<float>{9, 0.1015625f, -3.25f, 2.5f, 0.0078125f, 1, -0.75f, 0.3125f, 0, 7}));
  a.kind = FakeQuantArgs::Kind::kE2M1;
  a.block = 32;
  a.out = mat(x, 1, 10);  // in place
  RefKernels().fake_quant(a);
  EXPECT_EQ(x, (std::vector<float>{9, 0, -3, 2, 0, 1, -1, 0.5f, 0, 7}));
  std::vector<float> y = {6.03125f, 1, 2, 3, 0.25f, 0, 0, 0};  // two blocks of four
  RefKernels().fake_quant({mat(y, 1, 8), FakeQuantArgs::Kind::kE2M1, 0, 8, 4, mat(y, 1, 8)});
  EXPECT_EQ(y, (std::vector<float>{6, 1, 2, 3, 0.25f, 0, 0, 0}));
}

TEST(RefHadamard, is_its_own_inverse_and_sylvester_ordered) {
  std::vector<float> x(256, 0.0f);
  x[3] = 1;
  x[128 + 5] = 2;
  RefKernels().hadamard({mat(x, 1, 256), 128, false});
  const auto factor = static_cast<float>(1 / std::sqrt(128.0));
  for (int i = 0; i < 128; ++i) {
    const auto sign = [i](int j) {
      return __builtin_popcount(static_cast<unsigned>(i & j)) % 2 ? -1.0f : 1.0f;
    };
    EXPECT_EQ(x[static_cast<std::size_t>(i)], sign(3) * factor);
    EXPECT_EQ(x[static_cast<std::size_t>(128 + i)], sign(5) * 2 * factor);
  }
  RefKernels().hadamard({mat(x, 1, 256), 128, false});
  EXPECT_NEAR(x[3], 1.0f, 1e-6);
  EXPECT_NEAR(x[133], 2.0f, 1e-6);
  EXPECT_NEAR(x[4], 0.0f, 1e-6);
}

TEST(RefRope, turns_interleaved_pairs_and_back) {
  std::vector<float> x(2 * 6), before;
  std::iota(x.begin(), x.end(), 1.0f);
  before = x;
  const std::int64_t position = 3;
  const std::vector<float> freq = {1, 0.25f};
  RopeArgs a{mat(x, 1, 12), &position, freq.data(), 6, 4, false, false};
  RefKernels().rope(a);
  for (std::size_t head : {0u, 6u}) {
    EXPECT_EQ(x[head], before[head]);
    EXPECT_EQ(x[head + 1], before[head + 1]);
    for (std::size_t pair : {0u, 1u}) {
      const std::size_t i = head + 2 + 2 * pair;
      const double angle = 3 * freq[pair];
      EXPECT_NEAR(x[i], before[i] * std::cos(angle) - before[i + 1] * std::sin(angle), 2e-6);
      EXPECT_NEAR(x[i + 1], before[i] * std::sin(angle) + before[i + 1] * std::cos(angle), 2e-6);
    }
  }
  a.inverse = true;
  RefKernels().rope(a);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], before[i], 4e-6);
}

TEST(RefNorm, weighted_unweighted_and_the_bfloat16_chain) {
  std::vector<float> x = {3, -4, 0, 5, 1, 2}, out(6);
  const std::vector<float> gain = {1, 2, 3, 4, 5, 6};
  RmsNormArgs a{mat(x, 1, 6), gain.data(), 1e-6f, false, false, mat(out, 1, 6)};
  RefKernels().rms_norm(a);
  const double r = 1 / std::sqrt((9 + 16 + 25 + 1 + 4) / 6.0 + 1e-6);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(out[i], gain[i] * x[i] * r, 1e-5);
  a.round_bf16 = true;
  RefKernels().rms_norm(a);
  for (const float y : out) EXPECT_EQ(y, round_to_bf16(y));
  // 1.0078125 squared is 1.01568..., which bfloat16 rounds to 1.015625; the mean of eight equal
  // ones is the same; rsqrt(1.015625) = 0.99227... rounds to 0.9921875; the product to 1.0.
  std::vector<float> q(8, 1.0078125f), normed(8);
  RefKernels().rms_norm({mat(q, 1, 8), nullptr, 1e-6f, false, true, mat(normed, 1, 8)});
  for (const float y : normed) EXPECT_EQ(y, 1.0f);
}

// The same numbers stored in four ways give the same bytes, in one chain and in blocks.
TEST(RefMatmul, storage_does_not_change_a_byte) {
  const int rows = 5, cols = 96;
  std::vector<std::uint8_t> codes(rows * cols / 2);
  std::vector<std::uint8_t> scales(rows * cols / 32);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(37 * i + 11);
  for (std::size_t i = 0; i < scales.size(); ++i)
    scales[i] = static_cast<std::uint8_t>(120 + i % 5);
  const WeightView fp4{reinterpret_cast<const std::byte*>(codes.data()),
                       reinterpret_cast<const std::byte*>(scales.data()), kFormatMxF4, rows, cols};
  std::vector<float> wide(rows * cols);
  std::vector<std::uint16_t> half(rows * cols);
  for (int n = 0; n < rows; ++n) dequantise(fp4, n, {wide.data() + n * cols, 96});
  for (std::size_t i = 0; i < wide.size(); ++i) half[i] = float_to_bf16(wide[i]);
  const WeightView bf16{reinterpret_cast<const std::byte*>(half.data()), nullptr, kFormatBF16, rows,
                        cols};
  std::vector<float> x(cols), y4(rows), y16(rows), y32(rows), blocked(rows);
  for (int i = 0; i < cols; ++i) x[static_cast<std::size_t>(i)] = std::sin(static_cast<float>(i));
  RefKernels().matmul({mat(x, 1, cols), fp4, 0, false, mat(y4, 1, rows)});
  RefKernels().matmul({mat(x, 1, cols), bf16, 0, false, mat(y16, 1, rows)});
  RefKernels().matmul({mat(x, 1, cols), f32_weight(wide, rows, cols), 0, false, mat(y32, 1, rows)});
  EXPECT_EQ(y4, y16);
  EXPECT_EQ(y4, y32);
  RefKernels().matmul({mat(x, 1, cols), fp4, 32, false, mat(blocked, 1, rows)});
  EXPECT_NE(blocked, y4);
  for (std::size_t n = 0; n < rows; ++n) {
    double exact = 0;
    for (std::size_t k = 0; k < cols; ++k) exact += static_cast<double>(x[k]) * wide[n * cols + k];
    EXPECT_NEAR(y4[n], exact, 1e-5);
    EXPECT_NEAR(blocked[n], exact, 1e-5);
  }
}

TEST(RefIndex, ties_go_to_the_lower_index_and_order_is_ascending) {
  const int dim = 2, visible = 6;
  std::vector<float> keys = {1, 0, 3, 0, 2, 0, 3, 0, 2, 0, -5, 0}, q = {1, 0}, w = {1};
  const std::int32_t page = 0, sequence = 0;
  const std::int64_t seen = visible;
  const PagedRows rows{reinterpret_cast<std::byte*>(keys.data()), &page, 8, 0, kRowF32};
  std::vector<std::int32_t> selected(3);
  std::int32_t count = 0;
  IndexTopKArgs a{mat(q, 1, dim),
                  mat(w, 1, 1),
                  1.0f,
                  false,
                  &sequence,
                  &seen,
                  &rows,
                  1,
                  dim,
                  3,
                  Mat<std::int32_t>::dense(selected.data(), 1, 3),
                  &count};
  RefKernels().index_top_k(a);
  EXPECT_EQ(count, 3);
  EXPECT_EQ(selected, (std::vector<std::int32_t>{1, 2, 3}));
}

// Against sorting, on scores with many ties, both zeros, infinities and NaN.
TEST(RefIndex, selection_equals_sorting) {
  std::mt19937 random(3);
  const float special[] = {0.0f, -0.0f, HUGE_VALF, -HUGE_VALF, NAN, -NAN, 1e-40f, -1e-40f, 1.5f};
  for (int round = 0; round < 200; ++round) {
    const int n = 2 + static_cast<int>(random() % 300),
              top_k = 1 + static_cast<int>(random() % static_cast<unsigned>(n - 1));
    std::vector<float> score(static_cast<std::size_t>(n));
    for (float& x : score) {
      const bool odd = random() % 4 == 0;
      x = odd ? special[random() % 9]
              : static_cast<float>(static_cast<int>(random() % 64) - 32) / 7;
    }
    std::vector<std::int32_t> expected(static_cast<std::size_t>(n));
    std::iota(expected.begin(), expected.end(), 0);
    std::stable_sort(expected.begin(), expected.end(), [&](std::int32_t a, std::int32_t b) {
      const float x = score[static_cast<std::size_t>(a)], y = score[static_cast<std::size_t>(b)];
      return std::isnan(x) ? !std::isnan(y) : !std::isnan(y) && x > y;
    });
    expected.resize(static_cast<std::size_t>(top_k));
    std::sort(expected.begin(), expected.end());
    std::vector<std::uint32_t> keys(static_cast<std::size_t>(n));
    std::vector<std::int32_t> selected(static_cast<std::size_t>(top_k));
    ref::select_top_k(score.data(), n, top_k, keys.data(), selected.data());
    ASSERT_EQ(selected, expected) << "round " << round;
  }
}

TEST(RefDevice, places_copies_and_refuses) {
  RefDevice device;
  const std::vector<float> w = {1, 2, 3, 4};
  auto placed = device.place(f32_weight(w, 2, 2), Placement::kResident);
  ASSERT_TRUE(placed.has_value());
  EXPECT_NE(placed->data, reinterpret_cast<const std::byte*>(w.data()));
  EXPECT_EQ(std::memcmp(placed->data, w.data(), 16), 0);
  EXPECT_EQ(device.placed_bytes(f32_weight(w, 2, 2), Placement::kResident), 16u);
  auto mapped = device.place(f32_weight(w, 2, 2), Placement::kMapped);
  EXPECT_EQ(mapped->data, reinterpret_cast<const std::byte*>(w.data()));
  WeightView integers = f32_weight(w, 2, 2);
  integers.format.element = Element::kI64;
  EXPECT_EQ(device.place(integers, Placement::kResident).error().code, Code::kUnsupported);
  auto huge = device.allocate(std::size_t{1} << 62);
  ASSERT_FALSE(huge.has_value());
  EXPECT_EQ(huge.error().code, Code::kExhausted);
  auto buffer = device.allocate(std::size_t{3} << 20);
  ASSERT_TRUE(buffer.has_value());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 128, 0u);
  EXPECT_EQ(buffer->data()[(3 << 20) - 1], std::byte{0});
}

}  // namespace
}  // namespace plumb
