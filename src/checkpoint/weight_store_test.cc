#include "checkpoint/weight_store.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/temp_dir_for_tests.h"
#include "checkpoint/safetensors_writer.h"

namespace plumb {
namespace {

namespace fs = std::filesystem;

const char kConfig[] = "{\"model_type\": \"test\"}";

void write(const fs::path& path, const std::string& text) {
  ASSERT_TRUE(write_file_atomically(path, text));
}

std::string read(const fs::path& path) { return *read_file(path); }

// Three small shards with distinct bytes everywhere.
std::vector<ShardPlan> make_checkpoint(const fs::path& directory) {
  const auto shards = plan_shards({{"a", Element::kF32, {2, 2}},
                                   {"b", Element::kBF16, {3}},
                                   {"c", Element::kF8E4M3, {10}},
                                   {"d", Element::kI64, {1}}},
                                  16);
  unsigned char next = 1;
  for (const ShardPlan& shard : shards) {
    auto writer = ShardWriter::create(directory, shard);
    EXPECT_TRUE(writer);
    for (const TensorPlan& t : shard.tensors) {
      std::vector<std::byte> bytes(t.bytes());
      for (std::byte& b : bytes) b = std::byte{next++};
      EXPECT_TRUE(writer->append(bytes));
    }
    EXPECT_TRUE(writer->finish());
  }
  EXPECT_TRUE(
      write_file_atomically(directory / "model.safetensors.index.json", index_json(shards)));
  EXPECT_TRUE(write_file_atomically(directory / "config.json", kConfig));
  return shards;
}

std::string message(const fs::path& directory, Code code, const OpenOptions& options = {}) {
  const auto store = WeightStore::open(directory, options);
  if (store) return "";
  EXPECT_EQ(store.error().code, code) << store.error().message;
  return store.error().message;
}

void expect_says(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(WeightStore, GivesTheBytesOfEveryTensor) {
  TempDir dir;
  const auto shards = make_checkpoint(dir.path());
  ASSERT_EQ(shards.size(), 3u);
  const auto store = WeightStore::open(dir.path());
  ASSERT_TRUE(store) << store.error().message;
  ASSERT_EQ((*store)->tensors().size(), 4u);
  EXPECT_EQ((*store)->config_json(), kConfig);
  EXPECT_EQ((*store)->total_bytes(), 16u + 6 + 10 + 8);
  EXPECT_EQ((*store)->find("nothing"), nullptr);
  unsigned char next = 1;
  for (const ShardPlan& shard : shards) {
    for (const TensorPlan& t : shard.tensors) {
      const StoredTensor* stored = (*store)->find(t.name);
      ASSERT_NE(stored, nullptr) << t.name;
      EXPECT_EQ(stored->shape, t.shape);
      EXPECT_EQ(stored->element, t.element);
      for (const std::byte b : (*store)->data(*stored)) EXPECT_EQ(b, std::byte{next++});
    }
  }
}

TEST(WeightStore, OpensHeadersAlone) {
  TempDir dir;
  make_checkpoint(dir.path());
  const auto store = WeightStore::open(dir.path(), {.headers_only = true, .canonical = {}});
  ASSERT_TRUE(store);
  EXPECT_EQ((*store)->tensors().size(), 4u);
}

TEST(WeightStore, OpensOneFileWithoutAnIndex) {
  TempDir dir;
  ASSERT_TRUE(write_sparse_shard(dir.path(), {"model.safetensors", {{"a", Element::kF32, {2}}}}));
  write(dir / "config.json", kConfig);
  const auto store = WeightStore::open(dir.path());
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_NE((*store)->find("a"), nullptr);
}

TEST(WeightStore, TranslatesNamesAndRefusesTwoForOneTensor) {
  TempDir dir;
  make_checkpoint(dir.path());
  OpenOptions options;
  options.canonical = [](std::string_view name) -> Result<std::string> {
    return "x." + std::string(name);
  };
  const auto store = WeightStore::open(dir.path(), options);
  ASSERT_TRUE(store);
  EXPECT_NE((*store)->find("x.c"), nullptr);
  options.canonical = [](std::string_view name) -> Result<std::string> {
    return std::string(name == "d" ? "a" : name);
  };
  expect_says(message(dir.path(), Code::kCorrupt, options), "\"a\" is stored twice");
  options.canonical = [](std::string_view name) -> Result<std::string> {
    return Error{Code::kUnsupported, "No " + std::string(name) + "."};
  };
  expect_says(message(dir.path(), Code::kUnsupported, options), "No a.");
}

TEST(WeightStore, SaysWhatIsMissing) {
  TempDir dir;
  expect_says(message(dir / "nowhere", Code::kNotFound), "nowhere");
  expect_says(message(dir.path(), Code::kNotFound), "no config.json");
  write(dir / "config.json", kConfig);
  expect_says(message(dir.path(), Code::kNotFound), "no weights");
  expect_says(message(dir / "config.json", Code::kInvalid), "not a directory");
  write(dir / "model-00001-of-00002.safetensors", "x");
  expect_says(message(dir.path(), Code::kNotFound), "model.safetensors.index.json");
}

TEST(WeightStore, NamesEveryFaultyShardAtOnce) {
  TempDir dir;
  const auto shards = make_checkpoint(dir.path());
  fs::remove(dir / shards[0].file);
  write(dir / shards[1].file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  fs::resize_file(dir / shards[2].file, fs::file_size(dir / shards[2].file) - 3);
  const std::string text = message(dir.path(), Code::kNotFound);
  expect_says(text, shards[0].file + " is missing");
  expect_says(text, shards[1].file + " is a Git LFS pointer");
  expect_says(text, shards[2].file + " is cut short");
  expect_says(text, "3 of 3 files");
}

TEST(WeightStore, RefusesPointersInPlaceOfConfigAndIndex) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
  TempDir dir;
  make_checkpoint(dir.path());
  write(dir / "model.safetensors.index.json", pointer);
  expect_says(message(dir.path(), Code::kCorrupt), "index.json is a Git LFS pointer");
  write(dir / "config.json", pointer);
  expect_says(message(dir.path(), Code::kCorrupt), "config.json is a Git LFS pointer");
}

TEST(WeightStore, RefusesPathsThatLeaveTheDirectory) {
  for (const char* name :
       {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", ".safetensors",
        "..\\\\x.safetensors", "a\\u0000.safetensors", "passwd", ""}) {
    TempDir dir;
    make_checkpoint(dir.path());
    write(dir / "model.safetensors.index.json",
          std::string("{\"weight_map\": {\"a\": \"") + name + "\"}}");
    expect_says(message(dir.path(), Code::kCorrupt), "expected the name of a .safetensors file");
  }
}

TEST(WeightStore, ComparesIndexAndShards) {
  TempDir dir;
  const auto shards = make_checkpoint(dir.path());
  const fs::path index = dir / "model.safetensors.index.json";
  const std::string good = read(index);
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos);
    write(index, text.replace(at, from.size(), to));
  };
  replaced("\"a\"", "\"z\"");
  expect_says(message(dir.path(), Code::kCorrupt),
              "holds tensor \"a\", which the index does not name");
  replaced("\"c\": \"" + shards[1].file, "\"c\": \"" + shards[0].file);
  expect_says(message(dir.path(), Code::kCorrupt), "the index says " + shards[0].file);
  replaced("\"a\": ", "\"e\": \"" + shards[0].file + "\", \"a\": ");
  expect_says(message(dir.path(), Code::kCorrupt), "\"e\" in " + shards[0].file);
  for (const char* bad : {"", "{}", "[]", "{\"weight_map\": {}}", "{\"weight_map\": {\"a\": 1}}"}) {
    write(index, bad);
    EXPECT_NE(message(dir.path(), Code::kCorrupt), "") << bad;
  }
}

// The acceptance rule: the very same tensors, or a refusal that names the thing.
TEST(WeightStore, FlippedHeaderBytesGiveTheSameTensorsOrARefusal) {
  TempDir dir;
  const auto shards = make_checkpoint(dir.path());
  const auto whole = WeightStore::open(dir.path());
  ASSERT_TRUE(whole);
  const fs::path path = dir / shards[1].file;
  const std::string good = read(path);
  const std::uint64_t header = (*whole)->shards()[1].header_bytes;
  int same = 0, refused = 0;
  for (std::size_t i = 0; i < header; ++i) {
    for (const int mask : {0x01, 0x20, 0xFF}) {
      std::string flipped = good;
      flipped[i] = static_cast<char>(flipped[i] ^ mask);
      { std::ofstream(path, std::ios::binary) << flipped; }
      const auto store = WeightStore::open(dir.path());
      if (!store) {
        ++refused;
        expect_says(store.error().message, shards[1].file);
        continue;
      }
      ++same;
      ASSERT_EQ((*store)->tensors().size(), (*whole)->tensors().size());
      for (std::size_t t = 0; t < (*whole)->tensors().size(); ++t) {
        const StoredTensor &a = (*store)->tensors()[t], &b = (*whole)->tensors()[t];
        EXPECT_TRUE(a.name == b.name && a.dtype == b.dtype && a.shape == b.shape &&
                    a.shard == b.shard && a.offset == b.offset && a.bytes == b.bytes)
            << "byte " << i << " mask " << mask;
      }
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(same, 0);  // flips inside the free text of __metadata__
}

TEST(WeightStore, IdentityTellsWeightsApart) {
  TempDir dir;
  const auto shards = make_checkpoint(dir.path());
  const std::string before = (*WeightStore::open(dir.path()))->identity();
  EXPECT_EQ(before.size(), 64u);
  EXPECT_EQ(before, (*WeightStore::open(dir.path()))->identity());
  std::string bytes = read(dir / shards[2].file);
  bytes.back() ^= 1;
  write(dir / shards[2].file, bytes);
  const std::string after = (*WeightStore::open(dir.path()))->identity();
  EXPECT_NE(after, before);
  write(dir / "config.json", "{\"model_type\": \"other\"}");
  EXPECT_NE((*WeightStore::open(dir.path()))->identity(), after);
}

TEST(WeightStore, IdentityOfLargeShardsSeesBothEndsAndTheLength) {
  TempDir dir;
  constexpr std::int64_t kBytes = 80 << 20;  // beyond what is read whole; a hole on the disk
  const ShardPlan plan{"model.safetensors", {{"a", Element::kU8, {kBytes}}}};
  ASSERT_TRUE(write_sparse_shard(dir.path(), plan));
  write(dir / "config.json", kConfig);
  const std::string before = (*WeightStore::open(dir.path()))->identity();
  const fs::path path = dir / plan.file;
  const auto size = static_cast<std::streamoff>(fs::file_size(path));
  for (const std::streamoff at : {size - 1, size - kBytes}) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(at);
    file.put('\x01');
    file.close();
    EXPECT_NE((*WeightStore::open(dir.path()))->identity(), before);
    std::fstream back(path, std::ios::binary | std::ios::in | std::ios::out);
    back.seekp(at);
    back.put('\0');
  }
  EXPECT_EQ((*WeightStore::open(dir.path()))->identity(), before);
}

TEST(WeightStore, ReadsOtherFilesOfTheDirectory) {
  TempDir dir;
  make_checkpoint(dir.path());
  write(dir / "tokenizer.json", "{}");
  const auto store = WeightStore::open(dir.path());
  ASSERT_TRUE(store);
  EXPECT_EQ(*(*store)->read_file("tokenizer.json", 100), "{}");
  EXPECT_FALSE((*store)->read_file("tokenizer.json", 1));
  EXPECT_EQ((*store)->read_file("nothing.json", 100).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace plumb
