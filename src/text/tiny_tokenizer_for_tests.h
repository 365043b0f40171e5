// A tokenizer.json small enough to read.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "text/pretokenize.h"
#include "text/tokenizer_file.h"

namespace plumb {

// The bytes at 3..258, "th" = 259, "the" = 260, " the" = 261, and four control tokens: <s> 0, </s>
// 1, <the> 300, <the><the> 301 (the last two are looked for after the others).
inline std::string tiny_tokenizer_json() {
  std::string vocabulary = R"("<s>":0,"</s>":1)";
  int id = 3;
  for (char32_t symbol = 0; symbol < 0x144; ++symbol) {
    if (byte_of_symbol(symbol) < 0) continue;
    std::string entry;
    append_utf8(entry, symbol);
    vocabulary += str(",", json_quote(entry), ":", id++);
  }
  vocabulary += R"(,"th":259,"the":260,"Ġthe":261)";
  std::string steps;
  for (const std::string_view pattern : kSplitPatterns) {
    steps += str(R"({"type":"Split","pattern":{"Regex":)", json_quote(pattern),
                 R"(},"behavior":"Isolated","invert":false},)");
  }
  return str(R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)",
             R"({"id":0,"content":"<s>","normalized":false,"special":true},)",
             R"({"id":1,"content":"</s>","normalized":false,"special":true},)",
             R"({"id":300,"content":"<the>","normalized":true,"special":false},)",
             R"({"id":301,"content":"<the><the>","normalized":true,"special":false}],)",
             R"("normalizer":{"type":"Sequence","normalizers":[]},)",
             R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[)", steps,
             R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)",
             R"("use_regex":false}]},"post_processor":null,"decoder":{"type":"ByteLevel"},)",
             R"("model":{"type":"BPE","dropout":null,"vocab":{)", vocabulary,
             R"(},"merges":["t h","th e","Ġ the"]}})");
}

}  // namespace plumb
