#include "measure/machine.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "base/strings.h"
#include "device/host_memory.h"
#include "measure/numbers.h"

namespace plumb::measure {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kPiece = std::size_t{1} << 20;  // that a thread reads in one go
constexpr int kParts = 3;                             // of the memory, timed apart
constexpr double kPeakSeconds = 0.012;

std::atomic<std::uint64_t> sink{0};  // so that nothing is left out as useless

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

const PeakLoop* find_loop(Peak peak) {
  for (const PeakLoop& loop : peak_loops()) {
    if (loop.peak == peak) return &loop;
  }
  return nullptr;
}

}  // namespace

bool agree(const Probe& before, const Probe& after) {
  return agree(before.read, after.read) && agree(before.ops, after.ops);
}

Result<std::unique_ptr<Machine>> Machine::create(int threads, std::size_t bytes) {
  bytes = (bytes + kParts * kPiece - 1) / (kParts * kPiece) * (kParts * kPiece);
  std::byte* data = host_acquire(bytes);
  if (data == nullptr) {
    return Error{Code::kExhausted,
                 str("There are no ", bytes_text(bytes), " of memory to measure reading with.")};
  }
  return std::unique_ptr<Machine>(new Machine(threads, data, bytes));
}

// Memory that was never written may be one page of zeros.
Machine::Machine(int threads, std::byte* data, std::size_t bytes)
    : pool_(threads), data_(data), bytes_(bytes) {
  pool_.run(static_cast<std::int64_t>(bytes / kPiece), 1, [&](auto begin, auto end, int) {
    std::fill(data_ + static_cast<std::size_t>(begin) * kPiece,
              data_ + static_cast<std::size_t>(end) * kPiece, std::byte{0x5a});
  });
}

Machine::~Machine() { host_release(data_); }

double Machine::read_once(int threads, std::size_t from, std::size_t bytes) {
  const auto read = [&](std::int64_t begin, std::int64_t end, int) {
    sink.fetch_or(read_memory(data_ + from + static_cast<std::size_t>(begin) * kPiece,
                              static_cast<std::size_t>(end - begin) * kPiece),
                  std::memory_order_relaxed);
  };
  const auto pieces = static_cast<std::int64_t>(bytes / kPiece);
  const auto start = Clock::now();
  if (threads == 1) {
    read(0, pieces, 0);
  } else {
    pool_.run(pieces, 1, read);
  }
  return static_cast<double>(bytes) / seconds_since(start);
}

// Three parts of the memory one after the other: a single disturbance does not move their median.
double Machine::read_rate(int threads) {
  std::vector<double> rates;
  const std::size_t part = bytes_ / kParts;
  for (std::size_t i = 0; i < kParts; ++i) rates.push_back(read_once(threads, i * part, part));
  return median(std::move(rates));
}

std::optional<double> Machine::peak(Peak kind, int threads) {
  const PeakLoop* loop = find_loop(kind);
  if (loop == nullptr) return std::nullopt;
  constexpr std::int64_t kIterations = 20'000;  // of a piece: some tens of microseconds
  const auto run = [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      sink.fetch_or(static_cast<std::uint64_t>(loop->run(kIterations) != 0),
                    std::memory_order_relaxed);
    }
  };
  auto start = Clock::now();
  run(0, 1, 0);
  const double piece = std::max(seconds_since(start), 1e-7);
  std::vector<double> rates;
  for (int round = 0; round < kParts; ++round) {
    const auto pieces = static_cast<std::int64_t>(kPeakSeconds * threads / piece) + threads;
    start = Clock::now();
    if (threads == 1) {
      run(0, pieces, 0);
    } else {
      pool_.run(pieces, 1, run);
    }
    rates.push_back(static_cast<double>(pieces) * kIterations * loop->ops / seconds_since(start));
  }
  return median(std::move(rates));
}

Limits Machine::limits(int rounds) {
  const auto rates = [&](auto&& measure) {
    std::vector<double> one, all;
    for (int round = 0; round < rounds; ++round) {
      one.push_back(measure(1));
      all.push_back(measure(threads()));
    }
    return Rates{median(std::move(one)), median(std::move(all))};
  };
  const auto peaks = [&](Peak kind) -> std::optional<Rates> {
    if (find_loop(kind) == nullptr) return std::nullopt;
    return rates([&](int threads) { return *peak(kind, threads); });
  };
  Limits limits;
  limits.read = rates([&](int threads) { return read_rate(threads); });
  limits.int8 = peaks(Peak::kInt8);
  limits.bf16 = peaks(Peak::kBF16);
  limits.f32 = peaks(Peak::kF32);
  return limits;
}

Probe Machine::probe() {
  Probe probe;
  probe.read = read_rate(threads());
  const auto int8 = peak(Peak::kInt8, threads());
  probe.ops = int8 ? *int8 : peak(Peak::kF32, threads()).value_or(0);
  return probe;
}

std::uint64_t last_level_cache_bytes(const std::filesystem::path& root) {
  const auto first_line = [](const std::filesystem::path& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
  };
  std::set<std::string> seen;  // the processors that share a cache
  std::uint64_t sum = 0;
  std::error_code ec;
  for (const auto& cpu : std::filesystem::directory_iterator(root, ec)) {
    const std::filesystem::path cache = cpu.path() / "cache" / "index3";
    const std::string size = first_line(cache / "size");  // "32768K"
    if (size.empty() || !seen.insert(first_line(cache / "shared_cpu_list")).second) continue;
    sum += std::strtoull(size.c_str(), nullptr, 10) << (size.back() == 'M' ? 20 : 10);
  }
  return sum;
}

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    const auto colon = line.find(": ");
    if (colon != line.npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace plumb::measure
