// The tokenizer.json of random checkpoints: bytes and control tokens, nothing learned.
#include <array>
#include <string>

#include "base/json.h"
#include "model/deepseek_v4/random_checkpoint.h"

namespace plumb::deepseek_v4 {
namespace {

constexpr std::array<const char*, 3> kFirst = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
                                               "<｜▁pad▁｜>"};
constexpr std::array<const char*, 20> kControls = {"<｜User｜>",
                                                   "<｜Assistant｜>",
                                                   "<think>",
                                                   "</think>",
                                                   "｜DSML｜",
                                                   "<｜latest_reminder｜>",
                                                   "<｜action｜>",
                                                   "<｜query｜>",
                                                   "<｜authority｜>",
                                                   "<｜domain｜>",
                                                   "<｜title｜>",
                                                   "<｜read_url｜>",
                                                   "<｜extracted_url｜>",
                                                   "<｜fim▁hole｜>",
                                                   "<｜fim▁begin｜>",
                                                   "<｜fim▁end｜>",
                                                   "<|EOT|>",
                                                   "<｜task｜>",
                                                   "<｜answer｜>",
                                                   "<｜search｜>"};

// The three splits of the published chain, as their files spell them.
constexpr std::array<const char*, 3> kSplits = {
    R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"};

std::string utf8(unsigned code_point) {  // below U+0800
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

bool prints_as_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

Json byte_level() {
  Json stage = Json::object();
  stage.set("type", Json::string("ByteLevel"));
  stage.set("add_prefix_space", Json::boolean(false));
  stage.set("trim_offsets", Json::boolean(true));
  stage.set("use_regex", Json::boolean(false));
  return stage;
}

Json pre_tokenizer() {
  std::vector<Json> stages;
  for (const char* regex : kSplits) {
    Json pattern = Json::object();
    pattern.set("Regex", Json::string(regex));
    Json stage = Json::object();
    stage.set("type", Json::string("Split"));
    stage.set("pattern", std::move(pattern));
    stage.set("behavior", Json::string("Isolated"));
    stage.set("invert", Json::boolean(false));
    stages.push_back(std::move(stage));
  }
  stages.push_back(byte_level());
  Json chain = Json::object();
  chain.set("type", Json::string("Sequence"));
  chain.set("pretokenizers", Json::array(std::move(stages)));
  return chain;
}

Json added_token(int id, const char* content) {
  Json token = Json::object();
  token.set("id", Json::integer(id));
  token.set("content", Json::string(content));
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) {
    token.set(flag, Json::boolean(false));
  }
  token.set("special", Json::boolean(true));
  return token;
}

// The byte symbols in the published order: those that print as themselves, then the others from
// U+0100 on.
Json vocabulary() {
  Json vocab = Json::object();
  int id = 0;
  for (const char* name : kFirst) vocab.set(name, Json::integer(id++));
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (prints_as_itself(byte)) vocab.set(utf8(byte), Json::integer(id++));
  }
  unsigned shifted = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!prints_as_itself(byte)) vocab.set(utf8(shifted++), Json::integer(id++));
  }
  return vocab;
}

}  // namespace

Result<std::string> byte_tokenizer_json(int vocab) {
  constexpr int kBytes = 256;
  const int needed = static_cast<int>(kFirst.size()) + kBytes + static_cast<int>(kControls.size());
  if (vocab < needed) {
    return Error{Code::kInvalid, "A vocabulary of " + std::to_string(vocab) +
                                     " is too small for bytes and control tokens; expected " +
                                     std::to_string(needed) + " or more."};
  }
  std::vector<Json> added;
  int id = 0;
  for (const char* name : kFirst) added.push_back(added_token(id++, name));
  id += kBytes;
  for (const char* name : kControls) added.push_back(added_token(id++, name));
  Json model = Json::object();
  model.set("type", Json::string("BPE"));
  for (const char* absent :
       {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
    model.set(absent, Json::null());
  }
  model.set("fuse_unk", Json::boolean(false));
  model.set("byte_fallback", Json::boolean(false));
  model.set("vocab", vocabulary());
  model.set("merges", Json::array());
  Json json = Json::object();
  json.set("version", Json::string("1.0"));
  json.set("truncation", Json::null());
  json.set("padding", Json::null());
  json.set("added_tokens", Json::array(std::move(added)));
  json.set("normalizer", Json::null());
  json.set("pre_tokenizer", pre_tokenizer());
  json.set("post_processor", byte_level());
  json.set("decoder", byte_level());
  json.set("model", std::move(model));
  return json.dump_pretty() + "\n";
}

}  // namespace plumb::deepseek_v4
