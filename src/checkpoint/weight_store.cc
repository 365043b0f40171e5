#include "checkpoint/weight_store.h"

#include <algorithm>
#include <map>
#include <set>
#include <system_error>
#include <unordered_map>

#include "base/check.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/safetensors.h"

namespace plumb {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kConfigFile = "config.json";
constexpr std::size_t kMaxConfigBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxIndexBytes = std::size_t{128} << 20;
constexpr std::size_t kMaxFaultsShown = 8;
constexpr std::uint64_t kWholeIdentityBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kIdentityBlock = 4096;
constexpr std::uint64_t kIdentityBlocks = 64;

Error corrupt(std::string message) { return {Code::kCorrupt, std::move(message)}; }

// A name from the index may only mean a file of the directory itself.
bool is_plain_shard_name(std::string_view name) {
  constexpr std::string_view kEnding = ".safetensors";
  return name.size() > kEnding.size() && name.size() <= 255 && name.front() != '.' &&
         name.substr(name.size() - kEnding.size()) == kEnding &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

// tensor -> shard file, by stored name; empty index: everything is in kSingleFile.
struct Index {
  bool present = false;
  std::vector<std::string> files;                // ascending
  std::unordered_map<std::string, int> file_of;  // stored tensor name -> index into files
};

Result<Index> parse_index(std::string_view text, const std::string& what) {
  PLUMB_TRY(json, parse_json(text, what, {.max_depth = 8, .max_bytes = kMaxIndexBytes}));
  const Json* map = json.find("weight_map");
  if (map == nullptr || !map->is_object() || map->members().empty()) {
    return corrupt(what + " has no \"weight_map\" with tensors in it.");
  }
  Index index;
  index.present = true;
  std::set<std::string> files;
  for (const auto& [tensor, file] : map->members()) {
    if (!file.is_string() || !is_plain_shard_name(file.text())) {
      return corrupt(what + " places tensor " + json_quote(tensor) + " in " +
                     file.dump().substr(0, 200) +
                     ", expected the name of a .safetensors file beside it.");
    }
    files.insert(file.text());
  }
  index.files.assign(files.begin(), files.end());
  for (const auto& [tensor, file] : map->members()) {
    const auto at = std::lower_bound(index.files.begin(), index.files.end(), file.text());
    index.file_of.emplace(tensor, static_cast<int>(at - index.files.begin()));
  }
  return index;
}

Result<Index> find_shards(const fs::path& directory) {
  std::error_code ec;
  const fs::path index_path = directory / kIndexFile;
  if (fs::exists(index_path, ec)) {
    PLUMB_TRY(text, read_file(index_path, kMaxIndexBytes));
    if (is_lfs_pointer(std::as_bytes(std::span(text)))) {
      return corrupt(index_path.string() +
                     " is a Git LFS pointer, not the index. Run `git lfs pull` in that directory.");
    }
    return parse_index(text, index_path.string());
  }
  if (fs::exists(directory / kSingleFile, ec)) {
    Index index;
    index.files.emplace_back(kSingleFile);
    return index;
  }
  for (const auto& entry : fs::directory_iterator(directory, ec)) {
    if (entry.path().extension() == ".safetensors") {
      return Error{Code::kNotFound, directory.string() + " has shards such as " +
                                        entry.path().filename().string() + " but no " +
                                        std::string(kIndexFile) + ". Fetch that file too."};
    }
  }
  return Error{Code::kNotFound, directory.string() + " holds no weights: expected " +
                                    std::string(kIndexFile) + " with its shards, or " +
                                    std::string(kSingleFile) + "."};
}

struct OpenShard {
  MappedFile file;
  ShardHeader header;
};

Result<OpenShard> open_shard(const fs::path& path) {
  std::error_code ec;
  if (!fs::exists(path, ec))
    return Error{Code::kNotFound, path.filename().string() + " is missing."};
  PLUMB_TRY(file, MappedFile::open(path));
  PLUMB_TRY(header, parse_safetensors(file.bytes(), file.bytes().size(), path.filename().string()));
  return OpenShard{std::move(file), std::move(header)};
}

class MappedStore final : public WeightStore {
 public:
  Status load(const fs::path& directory, const OpenOptions& options) {
    directory_ = directory;
    PLUMB_TRY(config, plumb::read_file(directory / kConfigFile, kMaxConfigBytes));
    if (is_lfs_pointer(std::as_bytes(std::span(config)))) {
      return corrupt((directory / kConfigFile).string() +
                     " is a Git LFS pointer. Run `git lfs pull` in that directory.");
    }
    config_json_ = std::move(config);
    PLUMB_TRY(index, find_shards(directory));
    PLUMB_TRY(headers, open_shards(index.files, options));
    PLUMB_TRY_STATUS(cross_check(index, headers));
    return collect(headers, options);
  }

  const fs::path& directory() const override { return directory_; }
  const std::string& config_json() const override { return config_json_; }
  const std::vector<Shard>& shards() const override { return shards_; }
  const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  std::span<const std::byte> shard_data(int shard) const override {
    PLUMB_CHECK(static_cast<std::size_t>(shard) < files_.size());
    return files_[static_cast<std::size_t>(shard)].bytes();
  }
  void release(const StoredTensor& tensor) const override {
    PLUMB_CHECK(static_cast<std::size_t>(tensor.shard) < files_.size());
    files_[static_cast<std::size_t>(tensor.shard)].release(tensor.offset, tensor.bytes);
  }

 private:
  // All shards are tried, so that one message names everything that must be fetched again.
  Result<std::vector<ShardHeader>> open_shards(const std::vector<std::string>& names,
                                               const OpenOptions& options) {
    std::vector<ShardHeader> headers;
    std::vector<Error> faults;
    for (const std::string& name : names) {
      auto shard = open_shard(directory_ / name);
      if (!shard) {
        faults.push_back(shard.error());
        continue;
      }
      shards_.push_back({name, shard->file.bytes().size(), shard->header.header_bytes});
      headers.push_back(std::move(shard->header));
      if (!options.headers_only) files_.push_back(std::move(shard->file));
    }
    if (faults.empty()) return headers;
    Error error{faults.front().code, "The checkpoint in " + directory_.string() +
                                         " is not complete (" + std::to_string(faults.size()) +
                                         " of " + std::to_string(names.size()) + " files):"};
    for (std::size_t i = 0; i < std::min(faults.size(), kMaxFaultsShown); ++i) {
      error.message += " " + faults[i].message;
    }
    if (faults.size() > kMaxFaultsShown) {
      error.message += " And " + std::to_string(faults.size() - kMaxFaultsShown) + " more.";
    }
    return error;
  }

  Status cross_check(const Index& index, const std::vector<ShardHeader>& headers) const {
    if (!index.present) return {};
    std::size_t found = 0;
    for (std::size_t s = 0; s < headers.size(); ++s) {
      for (const ShardTensor& t : headers[s].tensors) {
        const auto it = index.file_of.find(t.name);
        if (it == index.file_of.end()) {
          return corrupt(shards_[s].file + " holds tensor " + json_quote(t.name) +
                         ", which the index does not name.");
        }
        if (it->second != static_cast<int>(s)) {
          return corrupt("Tensor " + json_quote(t.name) + " is in " + shards_[s].file +
                         ", the index says " + index.files[static_cast<std::size_t>(it->second)] +
                         ".");
        }
        ++found;
      }
    }
    if (found == index.file_of.size()) return {};
    return corrupt(first_missing(index, headers));
  }

  std::string first_missing(const Index& index, const std::vector<ShardHeader>& headers) const {
    std::set<std::string_view> held;
    for (const ShardHeader& header : headers) {
      for (const ShardTensor& t : header.tensors) held.insert(t.name);
    }
    std::map<std::string_view, int> missing;
    for (const auto& [name, file] : index.file_of) {
      if (!held.count(name)) missing.emplace(name, file);
    }
    PLUMB_CHECK(!missing.empty());
    return "The index places " + std::to_string(missing.size()) +
           " tensors in shards that do not hold them, the first is " +
           json_quote(missing.begin()->first) + " in " +
           index.files[static_cast<std::size_t>(missing.begin()->second)] + ".";
  }

  Status collect(std::vector<ShardHeader>& headers, const OpenOptions& options) {
    for (std::size_t s = 0; s < headers.size(); ++s) {
      for (ShardTensor& t : headers[s].tensors) {
        StoredTensor stored{t.name,
                            std::move(t.dtype),
                            t.element,
                            std::move(t.shape),
                            static_cast<int>(s),
                            t.offset,
                            t.bytes};
        if (options.canonical) {
          PLUMB_TRY(name, options.canonical(t.name));
          stored.name = std::move(name);
        }
        tensors_.push_back(std::move(stored));
      }
    }
    const auto by_name = [](const StoredTensor& a, const StoredTensor& b) {
      return a.name < b.name;
    };
    std::sort(tensors_.begin(), tensors_.end(), by_name);
    const auto same = [](const StoredTensor& a, const StoredTensor& b) { return a.name == b.name; };
    const auto twice = std::adjacent_find(tensors_.begin(), tensors_.end(), same);
    if (twice == tensors_.end()) return {};
    return corrupt("Tensor " + json_quote(twice->name) + " is stored twice, in " +
                   shards_[static_cast<std::size_t>(twice->shard)].file + " and in " +
                   shards_[static_cast<std::size_t>((twice + 1)->shard)].file +
                   " (two spellings of one name count as one).");
  }

  fs::path directory_;
  std::string config_json_;
  std::vector<Shard> shards_;
  std::vector<MappedFile> files_;  // parallel to shards_; empty when headers_only
  std::vector<StoredTensor> tensors_;
};

void add_number(Sha256& hash, std::uint64_t value) {
  std::array<std::byte, 8> bytes{};
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
  hash.update(bytes);
}

// The blocks of a shard that identity() reads, apart from the header.
void add_samples(Sha256& hash, std::span<const std::byte> file, std::uint64_t begin) {
  const std::uint64_t size = file.size() - begin;
  if (size <= kIdentityBlock * kIdentityBlocks) {
    hash.update(file.subspan(begin));
    return;
  }
  const std::uint64_t span = size - kIdentityBlock;
  for (std::uint64_t i = 0; i < kIdentityBlocks; ++i) {
    const std::uint64_t at = begin + span / (kIdentityBlocks - 1) * i;
    hash.update(file.subspan(i + 1 == kIdentityBlocks ? begin + span : at, kIdentityBlock));
  }
}

}  // namespace

Result<std::unique_ptr<WeightStore>> WeightStore::open(const fs::path& directory,
                                                       const OpenOptions& options) {
  std::error_code ec;
  if (!fs::exists(directory, ec)) {
    return Error{Code::kNotFound, "There is no model directory " + directory.string() + "."};
  }
  if (!fs::is_directory(directory, ec)) {
    return Error{Code::kInvalid, directory.string() +
                                     " is not a directory; expected one with config.json and "
                                     "safetensors files."};
  }
  if (!fs::exists(directory / kConfigFile, ec)) {
    return Error{Code::kNotFound, directory.string() +
                                      " has no config.json; expected a model directory as "
                                      "published."};
  }
  auto store = std::make_unique<MappedStore>();
  PLUMB_TRY_STATUS(store->load(directory, options));
  return std::unique_ptr<WeightStore>(std::move(store));
}

const StoredTensor* WeightStore::find(std::string_view name) const {
  const auto& all = tensors();
  const auto it =
      std::lower_bound(all.begin(), all.end(), name,
                       [](const StoredTensor& t, std::string_view key) { return t.name < key; });
  return it != all.end() && it->name == name ? &*it : nullptr;
}

std::uint64_t WeightStore::total_bytes() const {
  std::uint64_t sum = 0;
  for (const StoredTensor& t : tensors()) sum += t.bytes;
  return sum;
}

std::span<const std::byte> WeightStore::data(const StoredTensor& tensor) const {
  return shard_data(tensor.shard).subspan(tensor.offset, tensor.bytes);
}

Result<std::string> WeightStore::read_file(std::string_view name, std::size_t max_bytes) const {
  PLUMB_CHECK(name.find('/') == std::string_view::npos);
  return plumb::read_file(directory() / name, max_bytes);
}

std::string WeightStore::identity() const {
  Sha256 hash;
  hash.update(std::string_view("plumb-weights-1"));
  hash.update(sha256(config_json()));
  const bool whole = total_bytes() <= kWholeIdentityBytes;
  for (std::size_t s = 0; s < shards().size(); ++s) {
    const auto file = shard_data(static_cast<int>(s));
    const std::uint64_t header = shards()[s].header_bytes;
    add_number(hash, file.size());
    add_number(hash, header);
    hash.update(file.first(header));
    if (whole) {
      hash.update(file.subspan(header));
    } else {
      add_samples(hash, file, header);
    }
  }
  return hex(hash.finish());
}

}  // namespace plumb
