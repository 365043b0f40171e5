// Every operation on every instruction set of this machine, with one, two and three threads,
// against the oracle: the same bits, and nothing written beside the result.
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/topology.h"
#include "device/cpu/device.h"
#include "device/cpu/isa.h"
#include "device/ref/device.h"
#include "tensor/format.h"
#include "tensor/number.h"

namespace plumb {
namespace {

constexpr float kCanary = -12345.678f;
constexpr int kPad = 5;  // columns beside every result that must stay as they are

// The devices under test: each tier with each number of threads; every operation is shared out,
// however small.
std::vector<std::unique_ptr<Device>>& devices() {
  static std::vector<std::unique_ptr<Device>> all = [] {
    std::vector<std::unique_ptr<Device>> made;
    for (const cpu::KernelTable* tier : cpu::usable_tiers()) {
      for (const int threads : {1, 2, 3}) {
        made.push_back(std::make_unique<CpuDevice>(*tier, threads, 0));
      }
    }
    return made;
  }();
  return all;
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  float normal() { return normal_(engine_); }
  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  // Mostly ordinary numbers, with zeros of both signs and a wide range of sizes among them.
  float wild() {
    const int kind = below(16);
    if (kind == 0) return 0.0f;
    if (kind == 1) return -0.0f;
    return std::ldexp(normal(), below(17) - 8);
  }
  std::vector<float> normals(int n, float scale = 1) {
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& x : v) x = normal() * scale;
    return v;
  }
  std::vector<float> wilds(int n) {
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& x : v) x = wild();
    return v;
  }
  std::byte byte() { return static_cast<std::byte>(engine_() & 0xff); }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

// A result with canaries to the right of every row.
class Result2d {
 public:
  Result2d(int rows, int cols)
      : rows_(rows), cols_(cols), v_(static_cast<std::size_t>(rows * (cols + kPad)), kCanary) {}
  Mat<float> mat() { return {v_.data(), rows_, cols_, cols_ + kPad}; }
  void fill(const std::vector<float>& from) {
    for (int r = 0; r < rows_; ++r) std::copy_n(from.data() + r * cols_, cols_, mat().row(r));
  }
  const std::vector<float>& all() const { return v_; }

 private:
  int rows_, cols_;
  std::vector<float> v_;
};

// A random published weight, kept alive.
struct Weight {
  std::vector<std::byte> data, scales;
  WeightView view;
};

constexpr Format kFormats[] = {
    kFormatF32,
    kFormatBF16,
    kFormatF16,
    kFormatF8Block128,
    kFormatMxF4,
    {Element::kF8E4M3, ScaleType::kE8M0, 24, 40},
    {Element::kF8E4M3, ScaleType::kF32, 32, 32},
    {Element::kF8E4M3, ScaleType::kNone, 0, 0},
    {Element::kF4E2M1, ScaleType::kF32, 1, 16},
};

Weight make_weight(const Format& format, int rows, int cols, unsigned seed) {
  Random random(seed);
  Weight w;
  w.data.resize(data_bytes(format, rows, cols));
  w.scales.resize(scale_bytes(format, rows, cols));
  const auto count =
      w.data.size() / static_cast<std::size_t>(std::max(1, element_bits(format.element) / 8));
  for (std::size_t i = 0; i < count; ++i) {
    if (format.element == Element::kF32) {
      const float x = random.wild();
      std::memcpy(w.data.data() + 4 * i, &x, 4);
    } else if (format.element == Element::kBF16 || format.element == Element::kF16) {
      const float x = random.wild();
      const std::uint16_t bits =
          format.element == Element::kBF16 ? float_to_bf16(x) : float_to_f16(x);
      std::memcpy(w.data.data() + 2 * i, &bits, 2);
    } else {
      std::byte code = random.byte();
      if (format.element == Element::kF8E4M3 && (code & std::byte{0x7f}) == std::byte{0x7f}) {
        code = std::byte{0};
      }
      w.data[i] = code;
    }
  }
  for (std::size_t i = 0; i < w.scales.size(); ++i) {
    w.scales[i] = static_cast<std::byte>(random.below(40) == 0 ? 0 : 110 + random.below(20));
  }
  if (format.scale == ScaleType::kF32) {
    for (std::size_t i = 0; i + 4 <= w.scales.size(); i += 4) {
      const float x = std::fabs(random.normal()) + 0.01f;
      std::memcpy(w.scales.data() + i, &x, 4);
    }
  }
  w.view = {w.data.data(), w.scales.empty() ? nullptr : w.scales.data(), format, rows, cols};
  return w;
}

WeightView place(Device& device, const Weight& w, Placement placement = Placement::kResident) {
  auto placed = device.place(w.view, placement);
  EXPECT_TRUE(placed.has_value()) << placed.error().message;
  return *placed;
}

std::string differences(const std::vector<float>& got, const std::vector<float>& expected) {
  if (got.size() != expected.size()) return "sizes differ";
  int count = 0;
  std::string first;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (float_bits(got[i]) == float_bits(expected[i])) continue;
    if (count++ == 0) {
      first = "first at " + std::to_string(i) + ": " + std::to_string(got[i]) + " for " +
              std::to_string(expected[i]);
    }
  }
  return count == 0 ? "" : std::to_string(count) + " differ, " + first;
}

// Runs `operation` on the oracle and on every device; it returns all bytes it can have written.
void expect_agreement(const std::string& what,
                      const std::function<std::vector<float>(Device&)>& operation) {
  RefDevice ref;
  const std::vector<float> expected = operation(ref);
  for (const auto& device : devices()) {
    const std::string found = differences(operation(*device), expected);
    EXPECT_EQ(found, "") << what << " on " << device->name() << ", " << device->threads()
                         << " threads";
  }
}

std::vector<float> joined(std::initializer_list<const std::vector<float>*> parts) {
  std::vector<float> all;
  for (const auto* part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

std::vector<float> as_floats(const std::vector<std::int32_t>& v) { return {v.begin(), v.end()}; }

struct MatmulCase {
  int rows, cols, tokens;
};

TEST(KernelsAgree, matmul_in_every_format) {
  const MatmulCase cases[] = {{1, 2, 1},      {16, 32, 1},  {17, 34, 2},  {64, 128, 1},
                              {48, 96, 3},    {65, 130, 5}, {112, 64, 6}, {130, 258, 7},
                              {200, 320, 13}, {33, 20, 100}};
  unsigned seed = 1;
  for (const Format& format : kFormats) {
    for (const MatmulCase& c : cases) {
      const Weight w = make_weight(format, c.rows, c.cols, ++seed);
      const std::vector<float> x = Random(seed).wilds(c.tokens * (c.cols + 3));
      for (const int k_block : {0, 32, 128}) {
        for (const Placement placement : {Placement::kResident, Placement::kMapped}) {
          expect_agreement(format_name(format) + " " + std::to_string(c.rows) + " x " +
                               std::to_string(c.cols) + " x " + std::to_string(c.tokens) + " by " +
                               std::to_string(k_block),
                           [&](Device& device) {
                             Result2d out(c.tokens, c.rows);
                             MatMulArgs a{{x.data(), c.tokens, c.cols, c.cols + 3},
                                          place(device, w, placement),
                                          k_block,
                                          k_block == 32,
                                          out.mat()};
                             device.kernels().matmul(a);
                             return out.all();
                           });
        }
      }
    }
  }
}

TEST(KernelsAgree, one_token_equals_the_same_token_among_many) {
  const Weight w = make_weight(kFormatF8Block128, 130, 256, 3);
  const std::vector<float> x = Random(5).wilds(11 * 256);
  for (const auto& device : devices()) {
    const WeightView placed = place(*device, w);
    Result2d many(11, 130);
    device->kernels().matmul(
        {Mat<const float>::dense(x.data(), 11, 256), placed, 128, false, many.mat()});
    for (int t = 0; t < 11; ++t) {
      Result2d one(1, 130);
      device->kernels().matmul(
          {Mat<const float>::dense(x.data() + t * 256, 1, 256), placed, 128, false, one.mat()});
      EXPECT_EQ(std::memcmp(one.mat().row(0), many.mat().row(t), 130 * sizeof(float)), 0);
    }
  }
}

TEST(KernelsAgree, embed) {
  for (const Format& format : kFormats) {
    const Weight table = make_weight(format, 37, 130, 9);
    const std::vector<Token> tokens = {0, 36, 17, 17, 5};
    expect_agreement("embed " + format_name(format), [&](Device& device) {
      Result2d out(5, 390);
      device.kernels().embed({tokens.data(), place(device, table), 3, out.mat()});
      return out.all();
    });
  }
}

TEST(KernelsAgree, norms) {
  for (const int d : {1, 15, 16, 40, 128, 517}) {
    const std::vector<float> x = Random(11).wilds(21 * d), gain = Random(12).normals(d);
    for (int mode = 0; mode < 5; ++mode) {
      expect_agreement(
          "rms_norm " + std::to_string(d) + " mode " + std::to_string(mode), [&](Device& device) {
            Result2d out(21, d);
            out.fill(x);
            RmsNormArgs a;
            a.x =
                mode == 2 ? Mat<const float>(out.mat()) : Mat<const float>::dense(x.data(), 21, d);
            a.gain = mode == 0 || mode >= 3 ? nullptr : gain.data();
            a.eps = 1e-6f;
            a.round_bf16 = mode == 1 || mode == 3;
            a.bf16_chain = mode == 4;
            a.out = out.mat();
            device.kernels().rms_norm(a);
            return out.all();
          });
    }
  }
}

TEST(KernelsAgree, fake_quant_and_hadamard) {
  std::vector<float> x = Random(13).wilds(19 * 256);
  // A row of every half and quarter step of E2M1, their neighbours, and a six that fixes the scale.
  for (std::size_t i = 0; i < 256; ++i) {
    const float tie = static_cast<float>(i / 6 % 25) * 0.25f;
    const float near = i % 3 == 0 ? tie : std::nextafter(tie, i % 3 == 1 ? 0.0f : 7.0f);
    x[i] = i % 32 == 31 ? 6.0f : i % 2 == 0 ? near : -near;
  }
  for (const auto kind : {FakeQuantArgs::Kind::kE4M3, FakeQuantArgs::Kind::kE2M1}) {
    for (const bool in_place : {false, true}) {
      for (const int block : {32, 64, 100}) {
        expect_agreement("fake_quant", [&](Device& device) {
          Result2d out(19, 256);
          out.fill(x);
          const Mat<const float> from =
              in_place ? Mat<const float>(out.mat()) : Mat<const float>::dense(x.data(), 19, 256);
          device.kernels().fake_quant({from, kind, 24, 200, block, out.mat()});
          return out.all();
        });
      }
    }
  }
  for (const int width : {2, 32, 128}) {
    for (const bool round : {false, true}) {
      expect_agreement("hadamard", [&](Device& device) {
        Result2d out(19, 256);
        out.fill(x);
        device.kernels().hadamard({out.mat(), width, round});
        return out.all();
      });
    }
  }
}

TEST(KernelsAgree, rope) {
  const std::vector<std::int64_t> position = {0, 1, 127, 5000, 131071, 1048575};
  std::vector<float> freq(32);
  for (int i = 0; i < 32; ++i)
    freq[static_cast<std::size_t>(i)] = std::pow(10000.0f, -static_cast<float>(i) / 32);
  for (const int rope_dim : {2, 10, 64}) {
    for (const bool inverse : {false, true}) {
      const std::vector<float> x = Random(17).wilds(6 * 3 * 80);
      expect_agreement("rope " + std::to_string(rope_dim), [&](Device& device) {
        Result2d out(6, 240);
        out.fill(x);
        device.kernels().rope(
            {out.mat(), position.data(), freq.data(), 80, rope_dim, inverse, inverse});
        return out.all();
      });
    }
  }
}

TEST(KernelsAgree, hyper_connections) {
  for (const int d : {8, 50, 128}) {
    for (const int hc : {2, 4, 9}) {
      const int t = 5, mixes = (2 + hc) * hc;
      Random random(19);
      const Weight fn = make_weight(kFormatF32, mixes, hc * d, 21);
      const std::vector<float> base = random.normals(mixes), scale = {0.5f, 0.75f, 1.25f};
      const std::vector<float> x = random.normals(t * hc * d), f = random.normals(t * d);
      for (const bool round : {false, true}) {
        expect_agreement(
            "hyper " + std::to_string(d) + " x " + std::to_string(hc), [&](Device& device) {
              Result2d y(t, d), post(t, hc), comb(t, hc * hc), streams(t, hc * d), head(t, d);
              const WeightView placed = place(device, fn);
              device.kernels().hyper_pre({Mat<const float>::dense(x.data(), t, hc * d), placed,
                                          base.data(), scale.data(), hc, 20, 1e-6f, 1e-6f, round,
                                          y.mat(), post.mat(), comb.mat()});
              streams.fill(x);
              device.kernels().hyper_post({Mat<const float>::dense(f.data(), t, d), streams.mat(),
                                           post.mat(), comb.mat(), hc, round, streams.mat()});
              Weight top = fn;
              top.view.rows = hc;
              device.kernels().hyper_head({streams.mat(), place(device, top), base.data(),
                                           scale.data(), hc, 1e-6f, 1e-6f, round, head.mat()});
              return joined({&y.all(), &post.all(), &comb.all(), &streams.all(), &head.all()});
            });
      }
    }
  }
}

// Rows of three sequences in pages of `per_page`, the pages in scattered order.
class Pages {
 public:
  Pages(RowFormat format, int width, int rows, int per_page, Random& random) {
    const auto bytes = static_cast<int>(row_bytes(format, width));
    const int pages = (rows + per_page - 1) / per_page;
    const int stride = per_page * bytes + 64;
    memory_.resize(static_cast<std::size_t>(3 * pages * stride));
    tables_.resize(3);
    for (int s = 0; s < 3; ++s) {
      for (int p = 0; p < pages; ++p)
        tables_[static_cast<std::size_t>(s)].push_back((p * 7 + s) % pages * 3 + s);
    }
    // A permutation only where pages and 7 share no factor; the tests choose so.
    for (int s = 0; s < 3; ++s) {
      views_.push_back(
          {memory_.data(), tables_[static_cast<std::size_t>(s)].data(), per_page, stride, format});
    }
    for (int row = 0; row < 3 * pages * per_page; ++row) {
      const std::vector<float> x = random.normals(width, std::ldexp(1.0f, row % 5 - 2));
      encode_row(format, x.data(), width,
                 memory_.data() + row / per_page * stride + row % per_page * bytes);
    }
  }
  const PagedRows* views() const { return views_.data(); }

 private:
  std::vector<std::byte> memory_;
  std::vector<std::vector<std::int32_t>> tables_;
  std::vector<PagedRows> views_;
};

TEST(KernelsAgree, compress) {
  for (const bool overlap : {false, true}) {
    for (const int dim : {1, 20, 64}) {
      Random random(23);
      const int ratio = overlap ? 4 : 32, width = 2 * (overlap ? 2 : 1) * dim,
                ring_rows = 2 * ratio + 3;
      const std::vector<float> ring = random.normals(ring_rows * width, 3),
                               fresh = random.normals(90 * width, 3);
      const std::vector<float> ape = random.normals(ratio * width / 2);
      const RowHistory history[2] = {{ring.data(), ring_rows, fresh.data(), 0},
                                     {ring.data(), ring_rows, fresh.data(), ratio + 2}};
      const std::vector<CompressArgs::Entry> entries = {{0, 0}, {1, 1}, {0, 1}, {1, 2}, {1, 0}};
      expect_agreement("compress " + std::to_string(dim), [&](Device& device) {
        Result2d out(5, dim);
        device.kernels().compress(
            {history, entries, ape.data(), ratio, overlap, dim, overlap, out.mat()});
        return out.all();
      });
    }
  }
}

TEST(KernelsAgree, store_rows_and_read_back) {
  const std::vector<float> rows = Random(29).wilds(3 * 24);
  const std::int32_t sequence[3] = {0, 0, 0}, table[2] = {1, 0};
  const std::int64_t index[3] = {0, 3, 4};
  for (const RowFormat format : {kRowF32, kRowBF16, row_e4m3(8), kRowE2M1}) {
    expect_agreement("store_rows", [&](Device& device) {
      std::vector<float> memory(2 * 4 * 24 + 8, kCanary);
      const PagedRows pages{reinterpret_cast<std::byte*>(memory.data()), table, 4, 4 * 24 * 4,
                            format};
      device.kernels().store_rows(
          {Mat<const float>::dense(rows.data(), 3, 24), sequence, index, &pages});
      return memory;
    });
  }
}

TEST(KernelsAgree, index_top_k) {
  for (const RowFormat format : {kRowF32, kRowBF16, kRowE2M1, row_e4m3(2)}) {
    for (const int dim : {6, 32, 48, 128}) {
      Random random(31);
      const int heads = 3, top_k = 7, tokens = 6;
      const Pages keys(format, dim, 1100, 100, random);
      std::vector<float> q = random.normals(tokens * heads * dim);
      const std::vector<float> w = random.normals(tokens * heads);
      std::fill_n(q.begin() + heads * dim, heads * dim, 0.0f);  // token 1: every score is a tie
      const std::vector<std::int32_t> sequence = {0, 1, 2, 0, 1, 2};
      const std::vector<std::int64_t> visible = {1100, 900, 7, 8, 0, 513};
      for (const bool round : {false, true}) {
        expect_agreement("index_top_k " + std::to_string(dim), [&](Device& device) {
          std::vector<std::int32_t> selected(static_cast<std::size_t>(tokens * top_k), -7);
          std::vector<std::int32_t> count(static_cast<std::size_t>(tokens), -7);
          IndexTopKArgs a{Mat<const float>::dense(q.data(), tokens, heads * dim),
                          Mat<const float>::dense(w.data(), tokens, heads),
                          0.3f,
                          round,
                          sequence.data(),
                          visible.data(),
                          keys.views(),
                          heads,
                          dim,
                          top_k,
                          Mat<std::int32_t>::dense(selected.data(), tokens, top_k),
                          count.data()};
          device.kernels().index_top_k(a);
          const std::vector<float> first = as_floats(selected), second = as_floats(count);
          return joined({&first, &second});
        });
      }
    }
  }
}

// Packed keys and queries that take every way through the scoring by integers: blocks of zeros, scales
// of one row far apart and far from one, blocks without a number, queries that are no codes.
TEST(KernelsAgree, index_top_k_of_packed_keys) {
  Random random(32);
  const int dim = 128, heads = 6, top_k = 9, tokens = 21, rows = 700, per_page = 50;
  const auto row_of = [&](int kind) {
    std::vector<float> x = random.normals(dim);
    for (int b = 0; b < 4; ++b) {
      float* block = x.data() + 32 * b;
      float by = 1;
      if (kind == 1) by = std::ldexp(1.0f, random.below(5));
      if (kind == 2 && random.below(2) == 0) by = 0;
      if (kind == 3) by = std::ldexp(1.0f, random.below(150) - 110);
      if (kind == 4) by = std::ldexp(1.0f, -100);
      if (kind == 5) by = 0;
      for (int i = 0; i < 32; ++i) block[i] *= by;
    }
    if (kind == 6) x[40] = std::nanf("");
    return x;
  };
  const auto bytes = static_cast<int>(row_bytes(kRowE2M1, dim));
  for (const int strange : {0, 2, 7}) {  // how many kinds of keys and queries there are, but for one
    std::vector<std::byte> memory(static_cast<std::size_t>(rows * bytes));
    std::vector<std::int32_t> table;
    for (int p = 0; p < rows / per_page; ++p) table.push_back(rows / per_page - 1 - p);
    for (int r = 0; r < rows; ++r) {
      const std::vector<float> x = row_of(strange == 0 ? 0 : random.below(strange));
      encode_row(kRowE2M1, x.data(), dim, memory.data() + r * bytes);
    }
    const PagedRows pages{memory.data(), table.data(), per_page, per_page * bytes, kRowE2M1};
    std::vector<float> q;
    for (int n = 0; n < tokens * heads; ++n) {
      const int kind = strange == 0 ? 0 : random.below(std::min(strange, 6));
      std::vector<float> x = row_of(kind), code(dim);
      encode_row(kRowE2M1, x.data(), dim, memory.data());
      decode_row(kRowE2M1, memory.data(), dim, code.data());
      const std::vector<float>& used = strange == 7 && random.below(10) == 0 ? x : code;
      q.insert(q.end(), used.begin(), used.end());
    }
    const std::vector<float> first = row_of(0);
    encode_row(kRowE2M1, first.data(), dim, memory.data());
    std::vector<float> w = random.normals(tokens * heads);
    w[5 * heads + 1] = std::nanf("");  // no score of that token is a number
    const std::vector<std::int32_t> sequence(static_cast<std::size_t>(tokens), 0);
    std::vector<std::int64_t> visible;
    for (int t = 0; t < tokens; ++t) visible.push_back(t == 3 ? 9 : t == 4 ? 700 : 500 + 7 * t);
    expect_agreement("packed keys, " + std::to_string(strange), [&](Device& device) {
      std::vector<std::int32_t> selected(static_cast<std::size_t>(tokens * top_k), -7);
      std::vector<std::int32_t> count(static_cast<std::size_t>(tokens), -7);
      IndexTopKArgs a;
      a.q = Mat<const float>::dense(q.data(), tokens, heads * dim);
      a.w = Mat<const float>::dense(w.data(), tokens, heads);
      a.w_scale = 0.3f;
      a.sequence = sequence.data();
      a.visible = visible.data();
      a.keys = &pages;
      a.heads = heads;
      a.dim = dim;
      a.top_k = top_k;
      a.selected = Mat<std::int32_t>::dense(selected.data(), tokens, top_k);
      a.count = count.data();
      device.kernels().index_top_k(a);
      const std::vector<float> chosen = as_floats(selected), counts = as_floats(count);
      return joined({&chosen, &counts});
    });
  }
}

TEST(KernelsAgree, attend) {
  for (const RowFormat format : {kRowF32, kRowBF16, row_e4m3(2), row_e4m3(16)}) {
    for (const int dim : {20, 40, 128, 147}) {
      Random random(37);
      const int heads = 5, tokens = 7, window = 128, ring_rows = 140;
      const Pages compressed(format, dim, 300, 60, random);
      const std::vector<float> q = random.normals(tokens * heads * dim),
                               sink = random.normals(heads);
      const std::vector<float> ring = random.normals(ring_rows * dim),
                               fresh = random.normals(tokens * dim);
      const RowHistory history[3] = {{ring.data(), ring_rows, fresh.data(), 0},
                                     {ring.data(), ring_rows, fresh.data(), 1000},
                                     {ring.data(), ring_rows, fresh.data(), 62}};
      const std::vector<std::int32_t> sequence = {0, 0, 1, 1, 1, 2, 2};
      const std::vector<std::int64_t> position = {0, 1, 1000, 1003, 1006, 62, 65};
      const std::vector<std::int64_t> visible = {0, 0, 250, 251, 252, 15, 16};
      std::vector<std::int32_t> selected(static_cast<std::size_t>(tokens * 70)),
          count = {0, 0, 70, 70, 65, 15, 1};
      for (int t = 0; t < tokens; ++t) {
        for (int i = 0; i < 70; ++i) selected[static_cast<std::size_t>(t * 70 + i)] = i * 3 + t % 3;
      }
      for (int mode = 0; mode < 6; ++mode) {
        expect_agreement(
            "attend " + std::to_string(dim) + " mode " + std::to_string(mode), [&](Device& device) {
              Result2d out(tokens, heads * dim);
              AttendArgs a;
              a.q = Mat<const float>::dense(q.data(), tokens, heads * dim);
              a.sequence = sequence.data();
              a.position = position.data();
              a.window_rows = history;
              a.window = mode == 5 ? 100 : window;  // 100: a block holds rows of both kinds
              a.list_blocks = mode >= 4;
              a.compressed = mode == 0 ? nullptr : compressed.views();
              a.visible = visible.data();
              if (mode >= 2 && mode != 5) {
                a.selected = Mat<const std::int32_t>::dense(selected.data(), tokens, 70);
                a.count = count.data();
              }
              a.sink = sink.data();
              a.heads = heads;
              a.dim = dim;
              a.scale = 1 / std::sqrt(static_cast<float>(dim));
              a.round_probabilities = a.round_bf16 = mode == 3 || mode == 4;
              a.out = out.mat();
              device.kernels().attend(a);
              return out.all();
            });
      }
    }
  }
}

TEST(KernelsAgree, route) {
  Random random(41);
  const int tokens = 9, d = 70, experts = 20, k = 3;
  const Weight gate = make_weight(kFormatBF16, experts, d, 43);
  std::vector<float> x = random.normals(tokens * d, 0.1f);
  std::fill_n(x.begin(), d, 0.0f);  // all scores of the first token tie
  const std::vector<float> bias = random.normals(experts, 0.1f);
  std::vector<std::int64_t> table(50 * k);
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<std::int64_t>(i * 7 % experts);
  const std::vector<Token> tokens_in = {0, 1, 2, 3, 4, 5, 6, 7, 49};
  for (int mode = 0; mode < 3; ++mode) {
    expect_agreement("route", [&](Device& device) {
      std::vector<std::int32_t> expert(static_cast<std::size_t>(tokens * k), -7);
      Result2d weight(tokens, k);
      RouteArgs a;
      a.x = Mat<const float>::dense(x.data(), tokens, d);
      a.gate = place(device, gate);
      a.bias = mode == 1 ? bias.data() : nullptr;
      a.table = mode == 2 ? table.data() : nullptr;
      a.tokens = tokens_in.data();
      a.k = k;
      a.route_scale = 1.5f;
      a.expert = Mat<std::int32_t>::dense(expert.data(), tokens, k);
      a.weight = weight.mat();
      device.kernels().route(a);
      const std::vector<float> ids = as_floats(expert);
      return joined({&ids, &weight.all()});
    });
  }
}

TEST(KernelsAgree, experts) {
  struct Shape {
    int d, inter, tokens;
  };
  for (const Format& format : {kFormatMxF4, kFormatF8Block128, kFormatBF16}) {
    for (const Shape& s :
         {Shape{128, 128, 1}, Shape{64, 40, 1}, Shape{136, 72, 9}, Shape{128, 64, 40}}) {
      const int experts = 5, k = 2;
      Random random(47);
      std::vector<Weight> weights;
      for (int e = 0; e <= experts; ++e) {
        const Format& f = e == experts ? kFormatF8Block128 : format;
        const auto seed = static_cast<unsigned>(10 * e);
        weights.push_back(make_weight(f, s.inter, s.d, seed + 1));
        weights.push_back(make_weight(f, s.inter, s.d, seed + 2));
        weights.push_back(make_weight(f, s.d, s.inter, seed + 3));
      }
      const std::vector<float> x = random.normals(s.tokens * s.d, 0.3f),
                               weight = random.normals(s.tokens * k);
      std::vector<std::int32_t> expert;
      for (int t = 0; t < s.tokens; ++t) {
        const int first = random.below(experts - 1);
        expert.push_back(first);
        expert.push_back(first + 1 + random.below(experts - 1 - first));
      }
      for (int mode = 0; mode < 3; ++mode) {
        expect_agreement(format_name(format) + " experts, mode " + std::to_string(mode),
                         [&](Device& device) {
                           Result2d out(s.tokens, s.d);
                           std::vector<ExpertWeights> placed;
                           const auto how = mode == 1 ? Placement::kMapped : Placement::kResident;
                           for (std::size_t i = 0; i < weights.size(); i += 3) {
                             placed.push_back({place(device, weights[i], how),
                                               place(device, weights[i + 1], how),
                                               place(device, weights[i + 2], how)});
                           }
                           MoeArgs a;
                           a.x = Mat<const float>::dense(x.data(), s.tokens, s.d);
                           a.expert = Mat<const std::int32_t>::dense(expert.data(), s.tokens, k);
                           a.weight = Mat<const float>::dense(weight.data(), s.tokens, k);
                           a.experts = {placed.data(), static_cast<std::size_t>(experts)};
                           a.shared = placed.back();
                           a.clamp = mode == 1 ? 0 : 10;
                           if (mode == 2) {
                             a.k_block_up = a.k_block_down = 32;
                             a.k_block_shared = 128;
                             a.quantise_inputs = a.round_bf16 = true;
                           }
                           a.out = out.mat();
                           device.kernels().moe(a);
                           return out.all();
                         });
      }
    }
  }
}

TEST(CpuDevice, refuses_what_is_not_a_weight) {
  Device& device = *devices().front();
  Weight nan = make_weight(kFormatF8Block128, 20, 30, 1);
  nan.data[7 * 30 + 3] = std::byte{0xff};
  auto placed = device.place(nan.view, Placement::kResident);
  ASSERT_FALSE(placed.has_value());
  EXPECT_EQ(placed.error().code, Code::kCorrupt);
  EXPECT_NE(placed.error().message.find("Row 7"), std::string::npos);
  Weight scale = make_weight(kFormatMxF4, 20, 64, 1);
  scale.scales[9] = std::byte{255};
  EXPECT_EQ(device.place(scale.view, Placement::kResident).error().code, Code::kCorrupt);
  const Weight odd = make_weight({Element::kF4E2M1, ScaleType::kE8M0, 1, 32}, 4, 33, 1);
  EXPECT_EQ(device.place(odd.view, Placement::kResident).error().code, Code::kUnsupported);
}

TEST(CpuDevice, keeps_weights_at_their_published_size) {
  const Device& device = *devices().front();
  const auto published = [](const Format& f, int rows, int cols) {
    return static_cast<double>(data_bytes(f, rows, cols) + scale_bytes(f, rows, cols));
  };
  for (const Format& f : {kFormatF32, kFormatBF16, kFormatF8Block128, kFormatMxF4}) {
    const Weight w = make_weight(f, 256, 512, 1);
    EXPECT_LE(static_cast<double>(device.placed_bytes(w.view, Placement::kResident)),
              1.01 * published(f, 256, 512));
  }
}

TEST(OpenDevice, names_what_there_is) {
  DeviceOptions options;
  options.threads = 1;
  auto best = open_device(options);
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ((*best)->name(), "cpu/" + std::string(cpu::usable_tiers().front()->name));
  options.isa = "baseline";
  EXPECT_EQ((*open_device(options))->name(), "cpu/baseline");
  options.isa = "sse9";
  auto unknown = open_device(options);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, Code::kUnsupported);
  EXPECT_NE(unknown.error().message.find("'baseline'"), std::string::npos);
  options.isa = "auto";
  options.threads = 0;
  EXPECT_EQ((*open_device(options))->threads(), usable_cores());
  options.threads = -1;
  EXPECT_EQ(open_device(options).error().code, Code::kInvalid);
  options.name = "abacus";
  EXPECT_EQ(open_device(options).error().code, Code::kInvalid);
  options.name = "ref";
  EXPECT_EQ((*open_device(options))->name(), "ref");
}

}  // namespace
}  // namespace plumb
