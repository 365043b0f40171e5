#include "model/deepseek_v4/random_checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "base/topology.h"
#include "checkpoint/safetensors_writer.h"
#include "tensor/format.h"
#include "tensor/number.h"

namespace plumb::deepseek_v4 {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunk = 1 << 16;      // elements that one thread makes at a time
constexpr std::size_t kBatch = kChunk * 64;  // that are held in memory

// Numbers of one tensor, by index: any order and chunking gives the same ones. One block of random
// bits serves two neighbours, so going through them in order is cheapest.
class Numbers {
 public:
  Numbers(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  std::uint64_t bits(std::uint64_t i) {
    if (i / 2 != block_) {
      block_ = i / 2;
      const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
      bits_ = philox4x32({low(block_), low(block_ >> 32), low(stream_), low(stream_ >> 32)},
                         {low(seed_), low(seed_ >> 32)});
    }
    const std::size_t at = i % 2 * 2;
    return std::uint64_t{bits_[at + 1]} << 32 | bits_[at];
  }
  // Sum of four uniforms, shifted and scaled to mean 0 and deviation 1; within +-3.47. Integers and
  // one product, so it is the same on every machine.
  float normal(std::uint64_t i) {
    const std::uint64_t b = bits(i);
    return normal_of(static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(b >> 32));
  }
  // The same for [first, first + n), first even: many at a time, in loops that the compiler turns
  // into vector instructions.
  void normals(std::uint64_t first, std::size_t n, float* out) {
    std::uint32_t words[4][kLanes];
    for (std::size_t at = 0; at < n; at += 2 * kLanes) {
      blocks((first + at) / 2, words);
      float numbers[2 * kLanes];
      for (std::size_t l = 0; l < kLanes; ++l) {
        numbers[2 * l] = normal_of(words[0][l], words[1][l]);
        numbers[2 * l + 1] = normal_of(words[2][l], words[3][l]);
      }
      std::copy_n(numbers, std::min(2 * kLanes, n - at), out + at);
    }
  }
  float uniform(std::uint64_t i, float low, float high) {
    return low + (high - low) * (static_cast<float>(bits(i) >> 40) * 0x1p-24F);
  }

 private:
  static constexpr std::size_t kLanes = 16;

  static float normal_of(std::uint32_t low, std::uint32_t high) {
    constexpr float kDeviation = 37837.23F;  // sqrt(4 / 12) * 65536
    const std::uint32_t sum = (low & 0xFFFF) + (low >> 16) + (high & 0xFFFF) + (high >> 16);
    return static_cast<float>(static_cast<std::int32_t>(sum) - 2 * 65535) / kDeviation;
  }
  // philox4x32 of kLanes counters in a row, side by side.
  void blocks(std::uint64_t first, std::uint32_t (&words)[4][kLanes]) const {
    auto& [a, b, c, d] = words;
    for (std::size_t l = 0; l < kLanes; ++l) {
      a[l] = static_cast<std::uint32_t>(first + l);
      b[l] = static_cast<std::uint32_t>((first + l) >> 32);
      c[l] = static_cast<std::uint32_t>(stream_);
      d[l] = static_cast<std::uint32_t>(stream_ >> 32);
    }
    auto key_a = static_cast<std::uint32_t>(seed_), key_b = static_cast<std::uint32_t>(seed_ >> 32);
    for (int round = 0; round < 10; ++round) {
      for (std::size_t l = 0; l < kLanes; ++l) {
        const std::uint64_t x = std::uint64_t{0xD2511F53} * a[l];
        const std::uint64_t y = std::uint64_t{0xCD9E8D57} * c[l];
        a[l] = static_cast<std::uint32_t>(y >> 32) ^ b[l] ^ key_a;
        b[l] = static_cast<std::uint32_t>(y);
        c[l] = static_cast<std::uint32_t>(x >> 32) ^ d[l] ^ key_b;
        d[l] = static_cast<std::uint32_t>(x);
      }
      key_a += 0x9E3779B9;
      key_b += 0xBB67AE85;
    }
  }

  std::uint64_t seed_, stream_;
  std::uint64_t block_ = ~std::uint64_t{0};
  std::array<std::uint32_t, 4> bits_{};
};

bool ends_with(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

// float_to_e2m1 by counting the steps below: without branches, so that loops of it become vectors.
std::uint8_t e2m1_code(float x) {
  const float a = std::fabs(x);
  const int steps = (a > 0.25F) + (a >= 0.75F) + (a > 1.25F) + (a >= 1.75F) + (a > 2.5F) +
                    (a >= 3.5F) + (a > 5.0F);
  return static_cast<std::uint8_t>(steps + static_cast<int>(float_bits(x) >> 31) * 8);
}

struct Gain {
  std::string_view ending;
  float gain;
};
// Above 1 where a flat score would hide mistakes, or a sublayer would vanish beside its input.
constexpr std::array kGains = {
    Gain{"indexer.wq_b.weight", 1.5F}, Gain{"weights_proj.weight", 4.0F}, Gain{"wo_b.weight", 2.0F},
    Gain{"w2.weight", 2.0F},           Gain{"wgate.weight", 1.5F},        Gain{"gate.weight", 2.5F},
    Gain{"head.weight", 2.0F},
};

// How a parameter that is no quantised matrix is drawn.
struct Law {
  bool uniform = false;
  float a = 0, b = 1;  // bounds, or (unused, deviation)
};

float matrix_deviation(const Parameter& p) {
  float gain = 1.2F;
  for (const Gain& g : kGains) {
    if (ends_with(p.name, g.ending)) {
      gain = g.gain;
      break;
    }
  }
  return gain / std::sqrt(static_cast<float>(p.shape.back()));
}

Law law_of(const Parameter& p) {
  if (p.name == "embed.weight") return {false, 0, 1};
  if (ends_with(p.name, "_base") || ends_with(p.name, "attn_sink") || ends_with(p.name, ".ape")) {
    return {false, 0, 1};
  }
  if (ends_with(p.name, "_scale")) return {true, 0.5F, 1.5F};
  if (ends_with(p.name, "_fn")) {
    return {false, 0, 1 / std::sqrt(static_cast<float>(p.shape.back()))};
  }
  if (ends_with(p.name, "gate.bias")) return {false, 0, 0.3F};
  if (p.shape.size() == 1) return {true, 0.5F, 1.5F};
  return {false, 0, matrix_deviation(p)};
}

// Exponents of a quantised matrix's scales: around the one that suits the deviation, a little
// different from block to block.
class Scales {
 public:
  Scales(const Parameter& p, const Format& format, const Numbers& jitter)
      : jitter_(jitter),
        rows_per_block_(format.block_rows),
        cols_per_block_(format.block_cols),
        cols_(p.shape[1]) {
    per_row_ = (cols_ + cols_per_block_ - 1) / cols_per_block_;
    const int exponent = std::ilogb(matrix_deviation(p));
    // Codes then stay within +-448 (E4M3) always and within +-6 (E2M1) mostly.
    base_ = format.element == Element::kF4E2M1 ? exponent - 1 : exponent - 6;
    spread_ = format.element == Element::kF4E2M1 ? 2 : 3;
  }

  int exponent(std::int64_t block) {
    const std::uint64_t pick = jitter_.bits(static_cast<std::uint64_t>(block)) >> 32;
    return base_ + static_cast<int>(pick % static_cast<std::uint64_t>(spread_));
  }
  // Of the block that number i of the matrix lies in.
  int exponent_at(std::uint64_t i) {
    const std::int64_t row = static_cast<std::int64_t>(i) / cols_;
    const std::int64_t col = static_cast<std::int64_t>(i) % cols_;
    return exponent(row / rows_per_block_ * per_row_ + col / cols_per_block_);
  }
  // The first number after i that lies in another block or row.
  std::uint64_t end_of_run(std::uint64_t i) const {
    const std::int64_t col = static_cast<std::int64_t>(i) % cols_;
    const std::int64_t end = std::min((col / cols_per_block_ + 1) * cols_per_block_, cols_);
    return i + static_cast<std::uint64_t>(end - col);
  }

 private:
  Numbers jitter_;
  std::int64_t rows_per_block_, cols_per_block_, cols_, per_row_ = 0;
  int base_ = 0, spread_ = 1;
};

// Makes the bytes of tensors, each from (seed, index of its parameter) alone.
class Maker {
 public:
  Maker(const Config& config, const std::vector<Parameter>& all, const RandomOptions& options)
      : config_(config), all_(all), options_(options), pool_(usable_cores()) {}

  // Bytes of `t` in order, handed to `sink` in pieces; all cores make them.
  template <class Sink>
  Status make(const PublishedTensor& t, Sink&& sink) {
    const Parameter& p = all_[static_cast<std::size_t>(t.parameter)];
    std::uint64_t count = 1;
    for (const std::int64_t extent : t.shape) count *= static_cast<std::uint64_t>(extent);
    for (std::uint64_t first = 0; first < count; first += kBatch) {
      const std::uint64_t n = std::min<std::uint64_t>(kBatch, count - first);
      bytes_.resize(element_bytes(t.element, n));
      pool_.run(static_cast<std::int64_t>(n), kChunk, [&](auto begin, auto end, int) {
        const auto from = static_cast<std::uint64_t>(begin);
        fill(t, p, first + from, static_cast<std::uint64_t>(end) - from,
             bytes_.data() + element_bytes(t.element, from));
      });
      PLUMB_TRY_STATUS(sink(std::span<const std::byte>(bytes_)));
    }
    return {};
  }

 private:
  Numbers data(int parameter) const {
    return {options_.seed, 2 * static_cast<std::uint64_t>(parameter)};
  }
  Numbers jitter(int parameter) const {
    return {options_.seed, 2 * static_cast<std::uint64_t>(parameter) + 1};
  }

  void fill(const PublishedTensor& t, const Parameter& p, std::uint64_t first, std::uint64_t n,
            std::byte* out) const {
    if (t.scale || t.element == Element::kF8E4M3 || t.element == Element::kI8) {
      fill_quantised(t, p, first, n, out);
    } else if (t.element == Element::kI64) {
      fill_experts(t, first, n, out);
    } else {
      fill_plain(t, p, first, n, out);
    }
  }

  void fill_quantised(const PublishedTensor& t, const Parameter& p, std::uint64_t first,
                      std::uint64_t n, std::byte* out) const {
    const bool fp4 = p.storage == Storage::kExpert && options_.experts == ExpertFormat::kFp4;
    Scales scales(p, fp4 ? kFormatMxF4 : kFormatF8Block128, jitter(t.parameter));
    if (t.scale) {
      for (std::uint64_t i = 0; i < n; ++i) {
        const int exponent = scales.exponent(static_cast<std::int64_t>(first + i));
        out[i] = static_cast<std::byte>(exponent + 127);
      }
      return;
    }
    Numbers numbers = data(t.parameter);
    std::vector<float> values;
    std::vector<std::uint8_t> codes;
    const float deviation = matrix_deviation(p);
    const std::uint64_t per_byte = fp4 ? 2 : 1;
    const std::uint64_t end = (first + n) * per_byte;
    for (std::uint64_t i = first * per_byte; i < end;) {
      // One block's share of a row: even in length and start for FP4, whose widths are multiples
      // of 32.
      const std::uint64_t stop = std::min(end, scales.end_of_run(i));
      const float factor =
          deviation *
          float_from_bits(static_cast<std::uint32_t>(127 - scales.exponent_at(i)) << 23);
      const std::size_t count = stop - i;
      values.resize(count);
      if (i % 2 == 0) {
        numbers.normals(i, count, values.data());
      } else {
        for (std::size_t k = 0; k < count; ++k) values[k] = numbers.normal(i + k);
      }
      if (fp4) {
        codes.resize(count);
        for (std::size_t k = 0; k < count; ++k) codes[k] = e2m1_code(values[k] * factor);
        for (std::size_t k = 0; k < count; k += 2) {
          *out++ = static_cast<std::byte>(codes[k] | codes[k + 1] << 4);
        }
      } else {
        for (const float v : values) *out++ = std::byte{float_to_e4m3(v * factor)};
      }
      i = stop;
    }
  }

  void fill_plain(const PublishedTensor& t, const Parameter& p, std::uint64_t first,
                  std::uint64_t n, std::byte* out) const {
    const Law law = law_of(p);
    Numbers numbers = data(t.parameter);
    for (std::uint64_t i = 0; i < n; ++i) {
      const float value = law.uniform ? numbers.uniform(first + i, law.a, law.b)
                                      : numbers.normal(first + i) * law.b;
      if (t.element == Element::kF32) {
        std::memcpy(out + 4 * i, &value, 4);
      } else {
        const std::uint16_t half = float_to_bf16(value);
        std::memcpy(out + 2 * i, &half, 2);
      }
    }
  }

  // The first experts_per_token steps of a shuffle per row: distinct experts, every set as likely.
  void fill_experts(const PublishedTensor& t, std::uint64_t first, std::uint64_t n,
                    std::byte* out) const {
    Numbers numbers = data(t.parameter);
    const auto per_row = static_cast<std::uint64_t>(config_.experts_per_token);
    const auto experts = static_cast<std::uint64_t>(config_.experts);
    std::vector<std::int64_t> order(static_cast<std::size_t>(config_.experts));
    std::uint64_t made = ~std::uint64_t{0};
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t row = (first + i) / per_row;
      if (row != made) {
        for (std::size_t e = 0; e < order.size(); ++e) order[e] = static_cast<std::int64_t>(e);
        for (std::uint64_t k = 0; k < per_row; ++k) {
          const std::uint64_t pick = (numbers.bits(row * per_row + k) >> 16) % (experts - k);
          std::swap(order[k], order[k + pick]);
        }
        made = row;
      }
      std::memcpy(out + 8 * i, &order[(first + i) % per_row], 8);
    }
  }

  const Config& config_;
  const std::vector<Parameter>& all_;
  const RandomOptions& options_;
  ThreadPool pool_;
  std::vector<std::byte> bytes_;
};

Status write_shards(const fs::path& directory, const Config& config,
                    const std::vector<Parameter>& all, const RandomOptions& options,
                    const std::vector<ShardPlan>& shards,
                    const std::unordered_map<std::string, const PublishedTensor*>& by_name) {
  std::uint64_t total = 0, done = 0;
  for (const ShardPlan& shard : shards) total += shard.data_bytes();
  Maker maker(config, all, options);
  for (const ShardPlan& shard : shards) {
    if (options.headers_only) {
      PLUMB_TRY_STATUS(write_sparse_shard(directory, shard));
      continue;
    }
    PLUMB_TRY(writer, ShardWriter::create(directory, shard));
    for (const TensorPlan& tensor : shard.tensors) {
      const auto sink = [&](std::span<const std::byte> bytes) -> Status {
        done += bytes.size();
        if (options.progress) options.progress(done, total);
        return writer.append(bytes);
      };
      PLUMB_TRY_STATUS(maker.make(*by_name.at(tensor.name), sink));
    }
    PLUMB_TRY_STATUS(writer.finish());
  }
  return {};
}

}  // namespace

Status write_random_checkpoint(const fs::path& directory, const Config& config,
                               const RandomOptions& options) {
  std::error_code ec;
  if (fs::exists(directory / "config.json", ec)) {
    return Error{Code::kInvalid,
                 directory.string() + " holds a model already; expected a new or empty directory."};
  }
  fs::create_directories(directory, ec);
  if (ec) return file_error("create", directory, ec.value());
  if (options.experts == ExpertFormat::kFp4 && (config.dim % kFormatMxF4.block_cols != 0 ||
                                                config.expert_dim % kFormatMxF4.block_cols != 0)) {
    return Error{Code::kInvalid, "FP4 experts have widths in multiples of 32; hidden_size is " +
                                     std::to_string(config.dim) + " and moe_intermediate_size " +
                                     std::to_string(config.expert_dim) + "."};
  }
  const std::vector<Parameter> all = inventory(config);
  const std::vector<PublishedTensor> tensors = published_tensors(all, options.experts);
  std::unordered_map<std::string, const PublishedTensor*> by_name;
  std::vector<TensorPlan> plans;
  plans.reserve(tensors.size());
  for (const PublishedTensor& t : tensors) {
    by_name.emplace(t.name, &t);
    plans.push_back({t.name, t.element, t.shape});
  }
  const std::vector<ShardPlan> shards = plan_shards(std::move(plans), options.max_shard_bytes);
  PLUMB_TRY_STATUS(write_shards(directory, config, all, options, shards, by_name));
  PLUMB_TRY_STATUS(
      write_file_atomically(directory / "model.safetensors.index.json", index_json(shards)));
  if (auto tokenizer = byte_tokenizer_json(config.vocab); tokenizer && !options.headers_only) {
    PLUMB_TRY_STATUS(write_file_atomically(directory / "tokenizer.json", *tokenizer));
  }
  Config written = config;
  written.expert_dtype = options.experts == ExpertFormat::kFp4 ? "fp4" : "fp8";
  return write_file_atomically(directory / "config.json", published_config_json(written));
}

}  // namespace plumb::deepseek_v4
