// Attention of `fast` numerics on every instruction set: near the exact value, and the same bytes
// for a token whatever tokens are beside it and however many threads there are.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "device/cpu/device.h"
#include "device/cpu/isa.h"
#include "tensor/number.h"
#include "tensor/row_format.h"

namespace plumb {
namespace {

constexpr int kWindow = 100, kRingRows = 1100, kPages = 40, kPageRows = 20, kTopK = 150;

std::vector<float> bf16_normals(std::mt19937& random, std::size_t n, float size) {
  std::normal_distribution<float> normal;
  std::vector<float> v(n);
  for (float& x : v) x = round_to_bf16(normal(random) * size);
  return v;
}

// Two sequences: 30 tokens far into the first, 11 from the beginning of the second.
struct Problem {
  int heads, dim;
  RowFormat format;
  bool chosen;  // by lists of their own where more than kTopK rows are visible

  std::vector<float> q, ring[2], rows, sink;
  std::vector<std::byte> bytes[2];
  std::vector<std::int32_t> page_table, sequence, selected, count;
  std::vector<std::int64_t> position, visible;

  Problem(int h, int d, RowFormat f, bool c) : heads(h), dim(d), format(f), chosen(c) {
    std::mt19937 random(5);
    for (int p = 0; p < kPages; ++p) page_table.push_back((p * 7 + 3) % kPages);
    for (int t = 0; t < 41; ++t) {
      sequence.push_back(t < 30 ? 0 : 1);
      position.push_back(t < 30 ? 1000 + t : t - 30);
      visible.push_back((position.back() + 1) / (c ? 4 : 2));
      count.push_back(static_cast<std::int32_t>(std::min<std::int64_t>(visible.back(), kTopK)));
      for (int i = 0; i < kTopK; ++i) {  // the last kTopK but for a gap that moves
        const auto skipped = static_cast<int>(visible.back()) - count.back();
        selected.push_back(i < t + 20 ? i : i + skipped);
      }
    }
    q = bf16_normals(random, 41 * size(), 2);
    sink = bf16_normals(random, static_cast<std::size_t>(heads), 1);
    for (int s = 0; s < 2; ++s) {
      ring[s] = bf16_normals(random, kRingRows * static_cast<std::size_t>(dim), 1);
      bytes[s].resize(kPages * kPageRows * row_bytes(format, dim));
      for (int r = 0; r < kPages * kPageRows; ++r) {
        const std::vector<float> row = bf16_normals(random, static_cast<std::size_t>(dim), 1);
        encode_row(format, row.data(), dim,
                   &bytes[s][static_cast<std::size_t>(r) * row_bytes(format, dim)]);
      }
    }
  }
  std::size_t size() const { return static_cast<std::size_t>(heads * dim); }

  std::vector<float> compressed(int s, std::int64_t row) const {
    const std::int64_t at =
        page_table[static_cast<std::size_t>(row / kPageRows)] * kPageRows + row % kPageRows;
    std::vector<float> out(static_cast<std::size_t>(dim));
    decode_row(format, &bytes[s][static_cast<std::size_t>(at) * row_bytes(format, dim)], dim,
               out.data());
    return out;
  }

  std::vector<float> run(Device& device, int first, int tokens) {
    RowHistory history[2];
    PagedRows pages[2];
    for (int s = 0; s < 2; ++s) {
      history[s] = {ring[s].data(), kRingRows, nullptr, 1 << 30};
      pages[s] = {bytes[s].data(), page_table.data(), kPageRows,
                  static_cast<std::ptrdiff_t>(kPageRows * row_bytes(format, dim)), format};
    }
    std::vector<float> out(static_cast<std::size_t>(tokens) * size(), NAN);
    AttendArgs a;
    a.q = Mat<const float>::dense(q.data() + static_cast<std::size_t>(first) * size(), tokens,
                                  heads * dim);
    a.sequence = sequence.data() + first;
    a.position = position.data() + first;
    a.window_rows = history;
    a.window = kWindow;
    a.compressed = pages;
    a.visible = visible.data() + first;
    if (chosen) {
      a.selected = Mat<const std::int32_t>::dense(selected.data() + first * kTopK, tokens, kTopK);
      a.count = count.data() + first;
    }
    a.sink = sink.data();
    a.heads = heads;
    a.dim = dim;
    a.scale = 1 / std::sqrt(static_cast<float>(dim));
    a.fast = true;
    a.out = Mat<float>::dense(out.data(), tokens, heads * dim);
    device.kernels().attend(a);
    return out;
  }

  // What head h of token t should give, and the sum of the sizes of what it adds up.
  void exact(int t, int h, std::vector<double>& out, std::vector<double>& sizes) const {
    const auto i = static_cast<std::size_t>(t);
    const int s = sequence[i];
    std::vector<std::vector<float>> attended;
    for (Pos p = std::max<Pos>(0, position[i] - kWindow + 1); p <= position[i]; ++p) {
      const float* row = ring[s].data() + p * dim;
      attended.emplace_back(row, row + dim);
    }
    const std::int64_t listed = chosen ? count[i] : visible[i];
    for (std::int64_t n = 0; n < listed; ++n) {
      const auto place = i * kTopK + static_cast<std::size_t>(n);
      attended.push_back(compressed(s, chosen ? selected[place] : n));
    }
    const float* query = q.data() + i * size() + static_cast<std::size_t>(h * dim);
    std::vector<double> score;
    double top = sink[static_cast<std::size_t>(h)];
    for (const auto& row : attended) {
      double dot = 0;
      for (int c = 0; c < dim; ++c) dot += double{query[c]} * row[static_cast<std::size_t>(c)];
      score.push_back(dot / std::sqrt(static_cast<double>(dim)));
      top = std::max(top, score.back());
    }
    double den = std::exp(sink[static_cast<std::size_t>(h)] - top);
    for (double& x : score) den += x = std::exp(x - top);
    out.assign(static_cast<std::size_t>(dim), 0);
    sizes = out;
    for (std::size_t r = 0; r < attended.size(); ++r) {
      for (std::size_t c = 0; c < out.size(); ++c) {
        out[c] += score[r] / den * attended[r][c];
        sizes[c] += score[r] / den * std::fabs(attended[r][c]);
      }
    }
  }
};

struct Case {
  int heads, dim;
  RowFormat format;
  bool chosen;
};
const Case kCases[] = {{16, 512, row_e4m3(64), true}, {5, 64, kRowF32, false},
                       {33, 96, kRowBF16, true},      {16, 40, row_e4m3(8), false},
                       {1, 32, kRowF32, true},        {20, 544, kRowBF16, true}};

std::string name_of(const Case& c) {
  return std::to_string(c.heads) + " heads of " + std::to_string(c.dim) + ", " +
         row_format_name(c.format) + (c.chosen ? ", chosen" : ", all");
}

TEST(FastAttention, IsNearTheExactValue) {
  for (const Case& c : kCases) {
    Problem problem(c.heads, c.dim, c.format, c.chosen);
    for (const cpu::KernelTable* tier : cpu::usable_tiers()) {
      SCOPED_TRACE(name_of(c) + " on " + tier->name);
      CpuDevice device(*tier, 2, 0);
      const std::vector<float> all = problem.run(device, 0, 41);
      std::vector<double> exact, sizes;
      for (const int t : {0, 17, 29, 30, 40}) {
        for (int h = 0; h < c.heads; h += 3) {
          problem.exact(t, h, exact, sizes);
          for (std::size_t i = 0; i < exact.size(); ++i) {
            const std::size_t at = static_cast<std::size_t>(t) * problem.size() +
                                   static_cast<std::size_t>(h * c.dim) + i;
            // Weights are rounded to 8 bits; everything else to many more.
            ASSERT_NEAR(all[at], exact[i], sizes[i] * 0x1p-8) << "token " << t << ", head " << h;
          }
        }
      }
    }
  }
}

TEST(FastAttention, GivesATokenTheSameBytesInAnyCompany) {
  for (const Case& c : kCases) {
    Problem problem(c.heads, c.dim, c.format, c.chosen);
    for (const cpu::KernelTable* tier : cpu::usable_tiers()) {
      SCOPED_TRACE(name_of(c) + " on " + tier->name);
      CpuDevice one(*tier, 1, 0), two(*tier, 2, 0), three(*tier, 3, 0);
      const std::vector<float> all = problem.run(one, 0, 41);
      EXPECT_EQ(problem.run(two, 0, 41), all);
      for (Device* device : {static_cast<Device*>(&one), static_cast<Device*>(&three)}) {
        for (const int count : {1, 13}) {
          for (int first = 0; first + count <= 41; first += count) {
            const std::vector<float> some = problem.run(*device, first, count);
            ASSERT_EQ(0, std::memcmp(some.data(),
                                     all.data() + static_cast<std::size_t>(first) * problem.size(),
                                     some.size() * sizeof(float)))
                << count << " tokens from " << first;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace plumb
