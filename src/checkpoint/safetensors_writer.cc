#include "checkpoint/safetensors_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "tensor/format.h"

namespace plumb {
namespace {

constexpr std::uint64_t kAlignment = 8;

std::string shape_json(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? "," : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

std::string shard_name(std::size_t index, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

}  // namespace

std::uint64_t TensorPlan::bytes() const {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return element_bytes(element, count);
}

std::uint64_t ShardPlan::data_bytes() const {
  std::uint64_t sum = 0;
  for (const TensorPlan& t : tensors) sum += t.bytes();
  return sum;
}

std::string safetensors_header(std::span<const TensorPlan> tensors) {
  std::string json = "{\"__metadata__\":{\"format\":\"pt\"}";
  std::uint64_t at = 0;
  for (const TensorPlan& t : tensors) {
    const std::uint64_t end = at + t.bytes();
    json += "," + json_quote(t.name) + ":{\"dtype\":\"" + std::string(element_name(t.element)) +
            "\",\"shape\":" + shape_json(t.shape) + ",\"data_offsets\":[" + std::to_string(at) +
            "," + std::to_string(end) + "]}";
    at = end;
  }
  json += "}";
  while (json.size() % kAlignment != 0) json += ' ';
  std::string header;
  for (int i = 0; i < 8; ++i) header += static_cast<char>(json.size() >> (8 * i) & 0xFF);
  return header + json;
}

std::vector<ShardPlan> plan_shards(std::vector<TensorPlan> tensors, std::uint64_t max_shard_bytes) {
  std::vector<ShardPlan> shards;
  std::uint64_t filled = 0;
  for (TensorPlan& t : tensors) {
    const std::uint64_t bytes = t.bytes();
    if (shards.empty() || (filled > 0 && filled + bytes > max_shard_bytes)) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().tensors.push_back(std::move(t));
    filled += bytes;
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    shards[i].file = shard_name(i, shards.size());
    std::stable_sort(shards[i].tensors.begin(), shards[i].tensors.end(),
                     [](const TensorPlan& a, const TensorPlan& b) {
                       return element_bytes(a.element, 1) > element_bytes(b.element, 1);
                     });
  }
  return shards;
}

std::string index_json(std::span<const ShardPlan> shards) {
  std::uint64_t total = 0;
  std::vector<std::pair<std::string_view, std::string_view>> places;
  for (const ShardPlan& shard : shards) {
    total += shard.data_bytes();
    for (const TensorPlan& t : shard.tensors) places.emplace_back(t.name, shard.file);
  }
  std::sort(places.begin(), places.end());
  std::string text =
      "{\n  \"metadata\": {\"total_size\": " + std::to_string(total) + "},\n  \"weight_map\": {";
  for (std::size_t i = 0; i < places.size(); ++i) {
    text += (i > 0 ? ",\n    " : "\n    ") + json_quote(places[i].first) + ": " +
            json_quote(places[i].second);
  }
  return text + "\n  }\n}\n";
}

Status write_sparse_shard(const std::filesystem::path& directory, const ShardPlan& plan) {
  const std::filesystem::path path = directory / plan.file;
  const std::string header = safetensors_header(plan.tensors);
  errno = 0;
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(header.data(), static_cast<std::streamsize>(header.size()));
  out.close();
  if (!out) return file_error("write", path, errno);
  std::error_code ec;
  std::filesystem::resize_file(path, header.size() + plan.data_bytes(), ec);
  if (ec) return file_error("extend", path, ec.value());
  return {};
}

Result<ShardWriter> ShardWriter::create(const std::filesystem::path& directory,
                                        const ShardPlan& plan) {
  ShardWriter writer(directory / plan.file, plan.data_bytes());
  const std::string header = safetensors_header(plan.tensors);
  errno = 0;
  writer.out_.open(writer.path_, std::ios::binary | std::ios::trunc);
  writer.out_.write(header.data(), static_cast<std::streamsize>(header.size()));
  if (!writer.out_) return file_error("write", writer.path_, errno);
  return writer;
}

Status ShardWriter::append(std::span<const std::byte> bytes) {
  PLUMB_CHECK(bytes.size() <= remaining_);
  errno = 0;
  out_.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  if (!out_) return file_error("write", path_, errno);
  remaining_ -= bytes.size();
  return {};
}

Status ShardWriter::finish() {
  PLUMB_CHECK(remaining_ == 0);
  errno = 0;
  out_.close();
  if (!out_) return file_error("write", path_, errno);
  return {};
}

}  // namespace plumb
