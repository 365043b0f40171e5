// Speed of products with weights on this machine, beside what its memory and its arithmetic allow.
//
// Weights are many times larger than the caches and every product reads other ones, as decoding
// does. "of_read" is bytes of weights per second over the read bandwidth measured just before.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "device/device.h"
#include "device/kernels.h"
#include "tensor/format.h"

namespace plumb {
namespace {

constexpr int kCols = 2048, kRows = 2048;
constexpr std::size_t kFootprint = std::size_t{256} << 20;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Bytes per second that all threads read together from memory.
double read_bandwidth(ThreadPool& pool) {
  static const std::vector<std::uint64_t> memory(kFootprint / 8, 3);
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(static_cast<std::int64_t>(memory.size()), 1 << 17, [&](auto begin, auto end, int) {
      std::uint64_t part[8] = {};
      for (auto i = begin; i + 8 <= end; i += 8) {
        for (int l = 0; l < 8; ++l) part[l] += memory[static_cast<std::size_t>(i + l)];
      }
      benchmark::DoNotOptimize(part);
    });
    best = std::max(best, static_cast<double>(kFootprint) / seconds_since(start));
  }
  return best;
}

// Many weights of one format on one device, used in turn.
class Weights {
 public:
  Weights(Device& device, const Format& format) {
    std::mt19937 random(1);
    std::vector<std::byte> data(data_bytes(format, kRows, kCols));
    for (std::byte& b : data) b = static_cast<std::byte>(random() & 0x37);
    const std::vector<std::byte> scales(scale_bytes(format, kRows, kCols), std::byte{120});
    const WeightView host{data.data(), scales.empty() ? nullptr : scales.data(), format, kRows,
                          kCols};
    bytes_ = data.size() + scales.size();
    for (std::size_t used = 0; used < kFootprint; used += bytes_) {
      auto placed = device.place(host, Placement::kResident);
      if (!placed) return;
      views_.push_back(*placed);
    }
  }
  const WeightView& next() { return views_[turn_++ % views_.size()]; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::vector<WeightView> views_;
  std::size_t bytes_ = 0, turn_ = 0;
};

void matmul(benchmark::State& state, const Format& format, int k_block, bool fast = false) {
  const auto tokens = static_cast<int>(state.range(0));
  DeviceOptions options;
  options.threads = static_cast<int>(state.range(1));
  auto device = open_device(options);
  if (!device) return state.SkipWithError(device.error().message.c_str());
  double bandwidth = 0;
  {
    ThreadPool pool((*device)->threads());
    bandwidth = read_bandwidth(pool);
  }
  Weights weights(**device, format);
  std::vector<float> x(static_cast<std::size_t>(tokens * kCols), 0.5f);
  std::vector<float> y(static_cast<std::size_t>(tokens * kRows));
  for (auto _ : state) {
    MatMulArgs args;
    args.x = Mat<const float>::dense(x.data(), tokens, kCols);
    args.w = weights.next();
    args.k_block = k_block;
    args.fast = fast;
    args.out = Mat<float>::dense(y.data(), tokens, kRows);
    (*device)->kernels().matmul(args);
    benchmark::ClobberMemory();
  }
  using benchmark::Counter;
  const double bytes = static_cast<double>(weights.bytes());
  const double flops = 2.0 * tokens * kRows * kCols;
  state.SetLabel(std::string((*device)->name()));
  state.counters["GB/s"] = Counter(bytes / 1e9, Counter::kIsIterationInvariantRate);
  state.counters["of_read"] = Counter(bytes / bandwidth, Counter::kIsIterationInvariantRate);
  state.counters["GFLOP/s"] = Counter(flops / 1e9, Counter::kIsIterationInvariantRate);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "threads"})->ArgsProduct({{1, 4, 64}, {1, 2}})->UseRealTime();
}

BENCHMARK_CAPTURE(matmul, fp8, kFormatF8Block128, 0)->Apply(sizes);
BENCHMARK_CAPTURE(matmul, fp8_blocks, kFormatF8Block128, 128)->Apply(sizes);
BENCHMARK_CAPTURE(matmul, fp4, kFormatMxF4, 0)->Apply(sizes);
BENCHMARK_CAPTURE(matmul, fp4_blocks, kFormatMxF4, 32)->Apply(sizes);
BENCHMARK_CAPTURE(matmul, bf16, kFormatBF16, 0)->Apply(sizes);
BENCHMARK_CAPTURE(matmul, f32, kFormatF32, 0)->Apply(sizes);
BENCHMARK_CAPTURE(matmul, fp8_fast, kFormatF8Block128, 0, true)->Apply(sizes);
BENCHMARK_CAPTURE(matmul, fp4_fast, kFormatMxF4, 0, true)->Apply(sizes);
BENCHMARK_CAPTURE(matmul, bf16_fast, kFormatBF16, 0, true)->Apply(sizes);

}  // namespace
}  // namespace plumb

BENCHMARK_MAIN();
