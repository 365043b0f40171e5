#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "checkpoint/safetensors_writer.h"

namespace plumb {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Result<ShardHeader> parse(const std::string& file) {
  return parse_safetensors(bytes_of(file), file.size(), "x.safetensors");
}

std::string with_length(const std::string& json, std::size_t data) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(json.size() >> (8 * i) & 0xFF);
  return file + json + std::string(data, '\0');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

// What parse() says about a file with this JSON and so many data bytes; "" when it is accepted.
std::string refusal(const std::string& json, std::size_t data) {
  const auto header = parse(with_length(json, data));
  if (header) return "";
  EXPECT_EQ(header.error().code, Code::kCorrupt);
  EXPECT_NE(header.error().message.find("x.safetensors"), std::string::npos)
      << header.error().message;
  return header.error().message;
}

void expect_says(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

std::string small_file() {
  const std::vector<TensorPlan> plans = {{"layers.0.attn.wq_a.weight", Element::kF8E4M3, {4, 6}},
                                         {"layers.0.attn.wq_a.scale", Element::kF8E8M0, {1, 1}},
                                         {"norm.weight", Element::kBF16, {5}},
                                         {"ids", Element::kI64, {2, 1}},
                                         {"one", Element::kF32, {}}};
  std::string file = safetensors_header(plans);
  for (int i = 0; i < 24 + 1 + 10 + 16 + 4; ++i) file += static_cast<char>(i);
  return file;
}

// Every fact of a header in one string.
std::string facts(const ShardHeader& header) {
  std::string text;
  for (const ShardTensor& t : header.tensors) {
    text += t.name + " " + t.dtype + " " + shape_text(t.shape) + " " + std::to_string(t.offset) +
            "+" + std::to_string(t.bytes) + "\n";
  }
  return text;
}

TEST(Safetensors, ReadsWhatTheWriterWrote) {
  const std::string file = small_file();
  const auto header = parse(file);
  ASSERT_TRUE(header) << header.error().message;
  ASSERT_EQ(header->tensors.size(), 5u);
  EXPECT_EQ(header->header_bytes % 8, 0u);
  EXPECT_EQ(header->tensors[0].name, "layers.0.attn.wq_a.weight");
  EXPECT_EQ(header->tensors[0].element, Element::kF8E4M3);
  EXPECT_EQ(header->tensors[0].offset, header->header_bytes);
  EXPECT_EQ(header->tensors[3].element, Element::kI64);
  EXPECT_EQ(header->tensors.back().offset + header->tensors.back().bytes, file.size());
}

TEST(Safetensors, AcceptsTensorsInAnyOrderOfTheHeader) {
  const std::string json =
      "{" + entry("b", "F32", "[1]", "[4,8]") + "," + entry("a", "F32", "[1]", "[0,4]") + "}";
  const auto header = parse(with_length(json, 8));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->tensors[0].name, "a");
}

TEST(Safetensors, AcceptsEmptyTensors) {
  const auto header = parse(with_length("{" + entry("a", "F32", "[0,3]", "[0,0]") + "}", 0));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->tensors[0].bytes, 0u);
}

TEST(Safetensors, KeepsTypesOfTheFormatThatNobodyReads) {
  const auto header = parse(with_length("{" + entry("a", "F64", "[1]", "[0,8]") + "}", 8));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->tensors[0].dtype, "F64");
  EXPECT_FALSE(header->tensors[0].element.has_value());
}

TEST(Safetensors, RefusesWrongOffsetsSizesAndTypes) {
  expect_says(refusal("{" + entry("a", "F32", "[2]", "[0,4]") + "}", 4),
              "spans 4 bytes, expected 8");
  expect_says(refusal("{" + entry("a", "F32", "[1]", "[4,0]") + "}", 4), "ascending");
  expect_says(refusal("{" + entry("a", "F32", "[1]", "[-4,0]") + "}", 4), "ascending");
  expect_says(refusal("{" + entry("a", "F32", "[1]", "[4,8]") + "}", 8), "gap");
  expect_says(refusal("{" + entry("a", "F32", "[2]", "[0,8]") + "," +
                          entry("b", "F32", "[2]", "[4,12]") + "}",
                      12),
              "overlaps");
  expect_says(refusal("{" + entry("a", "F32", "[1]", "[0,4]") + "," +
                          entry("b", "F32", "[1]", "[0,4]") + "}",
                      4),
              "overlaps");
  expect_says(refusal("{" + entry("a", "F33", "[1]", "[0,4]") + "}", 4), "\"F33\"");
  expect_says(refusal("{" + entry("a", "F32", "[1.5]", "[0,4]") + "}", 4), "1.5");
  expect_says(refusal("{" + entry("a", "F32", "[-1]", "[0,4]") + "}", 4), "-1");
  expect_says(refusal("{" + entry("a", "F32", "1", "[0,4]") + "}", 4), "shape");
  expect_says(refusal("{" + entry("a", "F32", "[1]", "[0]") + "}", 4), "data_offsets");
  expect_says(refusal("{" + entry("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") + "}", 4),
              "dimensions");
  expect_says(refusal("{" + entry("a", "F4", "[3]", "[0,2]") + "}", 2), "no size");
  expect_says(refusal("{\"a\":3}", 0), "object");
  expect_says(
      refusal("{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0],\"x\":1}}", 0),
      "unknown field");
  expect_says(refusal("{\"__metadata__\":3}", 0), "__metadata__");
  expect_says(refusal("[]", 0), "does not begin with '{'");
  expect_says(refusal("{", 0), "header of x.safetensors");
  expect_says(refusal("{" + entry("a", "F32", "[1]", "[0,4]") + "," +
                          entry("a", "F32", "[1]", "[4,8]") + "}",
                      8),
              "a");
}

TEST(Safetensors, RefusesSizesBeyondTheIntegers) {
  const char* huge[] = {"9223372036854775807",
                        "9223372036854775808",
                        "18446744073709551615",
                        "18446744073709551616",
                        "1e300",
                        "4611686018427387904"};
  for (const char* n : huge) {
    const std::string number(n);
    EXPECT_NE(refusal("{" + entry("a", "F32", "[" + number + "]", "[0,4]") + "}", 4), "") << n;
    EXPECT_NE(refusal("{" + entry("a", "U8", "[4]", "[0," + number + "]") + "}", 4), "") << n;
    EXPECT_NE(refusal("{" + entry("a", "U8", "[4]", "[" + number + "," + number + "]") + "}", 4),
              "")
        << n;
    EXPECT_NE(refusal("{" + entry("a", "U8", "[" + number + "]", "[0," + number + "]") + "}", 4),
              "")
        << n;
  }
  // Products that wrap around to a small number.
  expect_says(refusal("{" + entry("a", "I64", "[2305843009213693952,8]", "[0,0]") + "}", 0),
              "2^53");
  expect_says(refusal("{" + entry("a", "I64", "[4294967296,4294967296]", "[0,0]") + "}", 0),
              "no size");
  expect_says(refusal("{" + entry("a", "U8", "[2147483648,2147483648,4,1]", "[0,4]") + "}", 4),
              "no size");
}

TEST(Safetensors, NamesFilesThatAreNotThere) {
  expect_says(parse("").error().message, "is empty");
  expect_says(parse("abc").error().message, "has 3 bytes");
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4294967296\n";
  EXPECT_TRUE(is_lfs_pointer(bytes_of(pointer)));
  expect_says(parse(pointer).error().message, "Git LFS pointer");
  expect_says(parse(std::string(64, '\xff')).error().message, "not a safetensors file");
  expect_says(parse("<!DOCTYPE html><html>").error().message, "not a safetensors file");
}

TEST(Safetensors, TruncationAnywhereIsASentence) {
  const std::string file = small_file();
  for (std::size_t n = 0; n < file.size(); ++n) {
    const auto header = parse(file.substr(0, n));
    ASSERT_FALSE(header) << "at byte " << n;
    EXPECT_EQ(header.error().code, Code::kCorrupt);
    EXPECT_EQ(header.error().message.back(), '.') << header.error().message;
    expect_says(header.error().message, "x.safetensors");
  }
  expect_says(
      parse(file.substr(0, file.size() - 1)).error().message,
      std::to_string(file.size()) + " bytes, the file has " + std::to_string(file.size() - 1));
  expect_says(parse(file + "x").error().message, "longer than its header says");
}

// A flip inside a name gives another name, which the index or the model's inventory catches (see
// weight_store_test); everything else must be caught here or mean nothing.
TEST(Safetensors, FlippedHeaderBytesChangeNothingButNames) {
  const std::string file = small_file();
  const auto whole = parse(file);
  ASSERT_TRUE(whole);
  int accepted = 0, refused = 0;
  for (std::size_t i = 0; i < whole->header_bytes; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = file;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const auto header = parse(flipped);
      if (!header) {
        ++refused;
        EXPECT_EQ(header.error().message.back(), '.') << header.error().message;
        continue;
      }
      ++accepted;
      ASSERT_EQ(header->tensors.size(), whole->tensors.size());
      for (std::size_t t = 0; t < header->tensors.size(); ++t) {
        ShardTensor got = header->tensors[t];
        got.name = whole->tensors[t].name;
        EXPECT_EQ(facts({{got}, 0}), facts({{whole->tensors[t]}, 0}))
            << "byte " << i << " bit " << bit;
      }
    }
  }
  EXPECT_GT(refused, accepted);
  EXPECT_GT(accepted, 0);
}

TEST(SafetensorsWriter, CutsShardsAndKeepsElementsAligned) {
  std::vector<TensorPlan> plans;
  for (int i = 0; i < 10; ++i) {
    plans.push_back({"a" + std::to_string(i), Element::kF8E4M3, {7}});
    plans.push_back({"b" + std::to_string(i), Element::kF32, {3}});
  }
  const auto shards = plan_shards(plans, 50);
  ASSERT_GT(shards.size(), 2u);
  std::size_t count = 0;
  for (const ShardPlan& shard : shards) {
    EXPECT_LE(shard.data_bytes(), 50u);
    std::uint64_t at = 0;
    for (const TensorPlan& t : shard.tensors) {
      if (t.element == Element::kF32) {
        EXPECT_EQ(at % 4, 0u);
      }
      at += t.bytes();
      ++count;
    }
  }
  EXPECT_EQ(count, plans.size());
  EXPECT_EQ(shards[0].file.substr(0, 15), "model-00001-of-");
}

}  // namespace
}  // namespace plumb
