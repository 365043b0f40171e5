// The published tokenizer.json of DeepSeek-V4, from its compact form in tests/data/tokenizer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/tokenizer_file.h"

namespace plumb {

// A file of tests/data; a test without its data cannot go on.
inline std::string test_data(const std::string& name) {
  auto bytes = read_file(std::string(PLUMB_SOURCE_DIR "/tests/data/") + name);
  if (!bytes) std::fprintf(stderr, "%s\n", bytes.error().message.c_str());
  PLUMB_CHECK(bytes.has_value());
  return *std::move(bytes);
}

inline std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// The base vocabulary, spelled in the byte alphabet, by id; and the merges as "left right".
struct V4Vocabulary {
  std::vector<std::string> entries;
  std::vector<std::string> merges;
};

inline V4Vocabulary v4_vocabulary() {
  V4Vocabulary out;
  out.entries = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"};
  for (char32_t symbol = 0; symbol < 0x144; ++symbol) {
    if (byte_of_symbol(symbol) < 0) continue;
    out.entries.emplace_back();
    append_utf8(out.entries.back(), symbol);
  }
  const std::string pairs = test_data("tokenizer/v4_merges.bin");
  const auto id = [&](std::size_t at) {
    const auto byte = [&](std::size_t i) {
      return std::size_t{static_cast<std::uint8_t>(pairs[i])};
    };
    return byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16;
  };
  for (std::size_t at = 0; at + 6 <= pairs.size(); at += 6) {
    const std::string& left = out.entries.at(id(at));
    const std::string& right = out.entries.at(id(at + 3));
    out.merges.push_back(str(left, " ", right));
    out.entries.push_back(left + right);
  }
  return out;
}

// The published file, byte for byte.
inline std::string v4_tokenizer_json() {
  const V4Vocabulary vocabulary = v4_vocabulary();
  std::string out = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n";
  const auto flag = [](std::string_view digit) { return digit == "1" ? "true" : "false"; };
  const char* separator = "  \"added_tokens\": [";
  const std::string added = test_data("tokenizer/v4_added_tokens.tsv");
  for (const std::string_view line : split_at(added, '\n')) {
    const std::vector<std::string_view> fields = split_at(line, '\t');
    // One line of the published file is indented differently from all others.
    const char* indent = fields[0] == "128844" ? "     " : "      ";
    out += str(separator, "\n    {\n      \"id\": ", fields[0], ",\n", indent,
               "\"content\": ", json_quote(fields[3]), ",\n      \"single_word\": false,\n",
               "      \"lstrip\": false,\n      \"rstrip\": false,\n      \"normalized\": ",
               flag(fields[2]), ",\n      \"special\": ", flag(fields[1]), "\n    }");
    separator = ",";
  }
  out +=
      "\n  ],\n  \"normalizer\": {\n    \"type\": \"Sequence\",\n    \"normalizers\": []\n  },\n";
  out += "  \"pre_tokenizer\": {\n    \"type\": \"Sequence\",\n    \"pretokenizers\": [\n";
  for (const std::string_view pattern : kSplitPatterns) {
    out +=
        str("      {\n        \"type\": \"Split\",\n        \"pattern\": {\n          \"Regex\": ",
            json_quote(pattern), "\n        },\n        \"behavior\": \"Isolated\",\n",
            "        \"invert\": false\n      },\n");
  }
  out +=
      "      {\n        \"type\": \"ByteLevel\",\n        \"add_prefix_space\": false,\n"
      "        \"trim_offsets\": true,\n        \"use_regex\": false\n      }\n    ]\n  },\n"
      "  \"post_processor\": {\n    \"type\": \"ByteLevel\",\n    \"add_prefix_space\": true,\n"
      "    \"trim_offsets\": false,\n    \"use_regex\": true\n  },\n"
      "  \"decoder\": {\n    \"type\": \"ByteLevel\",\n    \"add_prefix_space\": true,\n"
      "    \"trim_offsets\": true,\n    \"use_regex\": true\n  },\n"
      "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
      "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
      "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"vocab\": {";
  separator = "";
  for (std::size_t id = 0; id < vocabulary.entries.size(); ++id) {
    out += str(separator, "\n      ", json_quote(vocabulary.entries[id]), ": ", id);
    separator = ",";
  }
  out += "\n    },\n    \"merges\": [";
  separator = "";
  for (const std::string& merge : vocabulary.merges) {
    out += str(separator, "\n      ", json_quote(merge));
    separator = ",";
  }
  return out + "\n    ]\n  }\n}";
}

// Loaded once per program.
inline const Tokenizer& v4_tokenizer() {
  static const std::unique_ptr<const Tokenizer> tokenizer = [] {
    auto loaded = Tokenizer::load(v4_tokenizer_json());
    if (!loaded) std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    PLUMB_CHECK(loaded.has_value());
    return *std::move(loaded);
  }();
  return *tokenizer;
}

}  // namespace plumb
