// Reads recorded vectors (a safetensors file) and opens tiny checkpoints, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weight_store.h"
#include "device/device.h"
#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/model.h"
#include "model/deepseek_v4/names.h"

namespace plumb {

inline std::filesystem::path source_path(const std::string& relative) {
  return std::filesystem::path(PLUMB_SOURCE_DIR) / relative;
}

// One recorded tensor, as floats or as integers.
struct Recorded {
  std::vector<std::int64_t> shape;
  std::vector<float> floats;
  std::vector<std::int64_t> ints;

  std::int64_t width() const {  // numbers of one leading row
    std::int64_t n = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) n *= shape[i];
    return n;
  }
  const float* row(std::int64_t r) const { return floats.data() + r * width(); }
};

class Vectors {
 public:
  explicit Vectors(const std::filesystem::path& file) {
    auto text = read_file(file, std::size_t{64} << 20);
    PLUMB_CHECK(text.has_value());
    const auto bytes = std::as_bytes(std::span(*text));
    auto header = parse_safetensors(bytes, bytes.size(), file.string());
    PLUMB_CHECK(header.has_value());
    for (const ShardTensor& t : header->tensors) {
      Recorded& r = tensors_[t.name];
      r.shape = t.shape;
      const std::byte* data = bytes.data() + t.offset;
      if (t.dtype == "F32") {
        r.floats.resize(t.bytes / 4);
        std::memcpy(r.floats.data(), data, t.bytes);
      } else if (t.dtype == "I64") {
        r.ints.resize(t.bytes / 8);
        std::memcpy(r.ints.data(), data, t.bytes);
      } else if (t.dtype == "U8") {
        for (std::uint64_t i = 0; i < t.bytes; ++i) r.ints.push_back(static_cast<int>(data[i]));
      }
    }
  }

  bool has(const std::string& name) const { return tensors_.contains(name); }
  const Recorded& at(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) ADD_FAILURE() << "no vector " << name;
    PLUMB_CHECK(found != tensors_.end());
    return found->second;
  }

 private:
  std::map<std::string, Recorded> tensors_;
};

// A checkpoint ready to run: device, weights, model, pool, in the order of their lifetimes.
struct TinyModel {
  std::unique_ptr<Device> device;
  std::unique_ptr<WeightStore> store;
  deepseek_v4::Config config;
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<StatePool> pool;

  SequenceState open(std::span<const Key> keys = {}) {
    auto state = pool->open(keys);
    PLUMB_CHECK(state.has_value());
    return std::move(*state);
  }
  // Logits of the last `scored` of `tokens`, which the sequence then holds.
  std::vector<std::vector<float>> run(SequenceState& state, std::span<const Token> tokens, int scored) {
    PLUMB_CHECK(pool->reserve(state, static_cast<int>(tokens.size())).has_value());
    const BatchItem item{&state, tokens, scored};
    auto logits = model->forward({&item, 1});
    PLUMB_CHECK(logits.has_value());
    std::vector<std::vector<float>> rows;
    for (int r = 0; r < logits->rows; ++r) rows.emplace_back(logits->span(r).begin(), logits->span(r).end());
    pool->advance(state, std::vector<Key>(tokens.begin(), tokens.end()));
    return rows;
  }
};

struct TinyOptions {
  std::string device = "ref";
  std::string isa = "auto";
  int threads = 1;
  deepseek_v4::LoadOptions load;
  int pages = 64;
  int sequences = 16;
  std::size_t snapshot_bytes = std::size_t{64} << 20;
};

inline TinyModel open_tiny(const std::filesystem::path& directory, const TinyOptions& options) {
  TinyModel t;
  DeviceOptions device;
  device.name = options.device;
  device.isa = options.isa;
  device.threads = options.threads;
  auto opened = open_device(device);
  if (!opened) ADD_FAILURE() << opened.error().message;
  t.device = std::move(*opened);
  OpenOptions rule;
  rule.canonical = deepseek_v4::canonical_name;
  auto store = WeightStore::open(directory, rule);
  if (!store) ADD_FAILURE() << store.error().message;
  t.store = std::move(*store);
  auto config = deepseek_v4::Config::parse(t.store->config_json());
  if (!config) ADD_FAILURE() << config.error().message;
  t.config = *config;
  auto model = deepseek_v4::load(*t.store, t.config, *t.device, options.load);
  if (!model) ADD_FAILURE() << model.error().message;
  t.model = std::move(*model);
  PoolOptions pool;
  pool.pages = options.pages;
  pool.sequences = options.sequences;
  pool.snapshot_bytes = options.snapshot_bytes;
  auto made = StatePool::create(*t.device, t.model->state_layout(), pool);
  if (!made) ADD_FAILURE() << made.error().message;
  t.pool = std::move(*made);
  t.model->attach(*t.pool);
  return t;
}

}  // namespace plumb
