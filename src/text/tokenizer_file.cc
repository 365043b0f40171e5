#include "text/tokenizer_file.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/json.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "text/pretokenize.h"

namespace plumb {

namespace {

constexpr std::string_view kWhat = "tokenizer.json";
constexpr int kSymbolLimit = 0x144;  // one past the last character of the byte alphabet

Error corrupt(std::string what) { return {Code::kCorrupt, str(kWhat, ": ", what)}; }
Error unsupported(std::string what) { return {Code::kUnsupported, str(kWhat, ": ", what)}; }

// A value for a message: whole if short.
std::string shown(const Json* value) {
  if (value == nullptr) return "absent";
  std::string text = value->dump();
  if (text.size() <= 200) return text;
  text.resize(complete_utf8_prefix(std::string_view(text).substr(0, 200)));
  return text + "...";
}

// What a field may be for this tokenizer to be one that is understood.
Status expect(const Json& object, std::string_view where, std::string_view key,
              std::initializer_list<std::string_view> allowed) {
  const Json* value = object.find(key);
  const std::string text = value == nullptr ? "absent" : value->dump();
  if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return {};
  std::string list;
  for (const std::string_view one : allowed) list += str(list.empty() ? "" : " or ", one);
  return unsupported(str(where, ".", key, " is ", shown(value), ", expected ", list, "."));
}

Status expect_keys(const Json& object, std::string_view where,
                   std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return corrupt(str(where, " is not an object."));
  for (const auto& [key, value] : object.members()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return unsupported(
          str(where, " has the unknown field ", json_quote(key), " = ", shown(&value), "."));
    }
  }
  return {};
}

Status check_normalizer(const Json& root) {
  const Json* value = root.find("normalizer");
  if (value == nullptr || value->is_null()) return {};
  if (value->dump() == R"({"type":"Sequence","normalizers":[]})") return {};
  return unsupported(str("normalizer is ", shown(value), ", expected none."));
}

Status check_split(const Json& step, std::size_t index) {
  const std::string where = str("pre_tokenizer.pretokenizers[", index, "]");
  PLUMB_TRY_STATUS(expect_keys(step, where, {"type", "pattern", "behavior", "invert"}));
  PLUMB_TRY_STATUS(expect(step, where, "type", {R"("Split")"}));
  PLUMB_TRY_STATUS(expect(step, where, "behavior", {R"("Isolated")"}));
  PLUMB_TRY_STATUS(expect(step, where, "invert", {"false"}));
  const Json* pattern = step.find("pattern");
  const Json* regex = pattern == nullptr ? nullptr : pattern->find("Regex");
  if (regex == nullptr || pattern->members().size() != 1 || !regex->is_string() ||
      regex->text() != kSplitPatterns[index]) {
    return unsupported(str(where, ".pattern is ", shown(pattern), ", expected the Regex ",
                           json_quote(kSplitPatterns[index]), "."));
  }
  return {};
}

Status check_pre_tokenizer(const Json& root) {
  const Json* chain = root.find("pre_tokenizer");
  const Json* steps = chain == nullptr ? nullptr : chain->find("pretokenizers");
  if (steps == nullptr || !steps->is_array()) {
    return unsupported(
        str("pre_tokenizer is ", shown(chain), ", expected a Sequence of pretokenizers."));
  }
  PLUMB_TRY_STATUS(expect_keys(*chain, "pre_tokenizer", {"type", "pretokenizers"}));
  PLUMB_TRY_STATUS(expect(*chain, "pre_tokenizer", "type", {R"("Sequence")"}));
  constexpr std::size_t kSplits = std::size(kSplitPatterns);
  if (steps->items().size() != kSplits + 1) {
    return unsupported(str("pre_tokenizer has ", steps->items().size(), " steps, expected ",
                           kSplits + 1, ": three Split and one ByteLevel."));
  }
  for (std::size_t i = 0; i < kSplits; ++i) {
    PLUMB_TRY_STATUS(check_split(steps->items()[i], i));
  }
  const Json& last = steps->items().back();
  const std::string where = str("pre_tokenizer.pretokenizers[", kSplits, "]");
  PLUMB_TRY_STATUS(
      expect_keys(last, where, {"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  PLUMB_TRY_STATUS(expect(last, where, "type", {R"("ByteLevel")"}));
  PLUMB_TRY_STATUS(expect(last, where, "add_prefix_space", {"false"}));
  return expect(last, where, "use_regex", {"false"});
}

// Steps after merging: those of a byte-level tokenizer change offsets only, never ids.
Status check_byte_level(const Json& root, std::string_view key) {
  const Json* value = root.find(key);
  if (value == nullptr || value->is_null()) return {};
  PLUMB_TRY_STATUS(
      expect_keys(*value, key, {"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  return expect(*value, key, "type", {R"("ByteLevel")"});
}

Status check_model(const Json& model) {
  PLUMB_TRY_STATUS(expect_keys(
      model, "model",
      {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
       "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"}));
  PLUMB_TRY_STATUS(expect(model, "model", "type", {R"("BPE")"}));
  PLUMB_TRY_STATUS(expect(model, "model", "dropout", {"null", "absent"}));
  PLUMB_TRY_STATUS(expect(model, "model", "unk_token", {"null", "absent"}));
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    PLUMB_TRY_STATUS(expect(model, "model", key, {"null", R"("")", "absent"}));
  }
  // Without an unknown token there is nothing to fuse.
  PLUMB_TRY_STATUS(expect(model, "model", "fuse_unk", {"false", "true", "absent"}));
  PLUMB_TRY_STATUS(expect(model, "model", "byte_fallback", {"false", "absent"}));
  return expect(model, "model", "ignore_merges", {"false", "absent"});
}

// The id if it is one.
Result<Token> token_id(const Json* value, std::string_view where) {
  const std::optional<std::int64_t> id = value == nullptr ? std::nullopt : value->as_int();
  if (!id || *id < 0) {
    return corrupt(str(where, " has the id ", shown(value), ", expected a whole number from 0."));
  }
  if (*id > Bpe::kMaxToken) {
    return unsupported(
        str(where, " has the id ", *id, "; ids up to ", Bpe::kMaxToken, " are supported."));
  }
  return static_cast<Token>(*id);
}

// The bytes a vocabulary entry spells in the byte alphabet; nullopt if it is not so spelled.
std::optional<std::string> spelled_bytes(std::string_view entry) {
  std::string bytes;
  for (std::size_t at = 0; at < entry.size();) {
    const Utf8Step step = decode_utf8(entry, at);
    const int byte = step.valid ? byte_of_symbol(step.code) : -1;
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    at += step.length;
  }
  return bytes;
}

class Reader {
 public:
  Result<TokenizerFile> read(const Json& root) {
    const Json* model = root.find("model");
    if (model == nullptr) return corrupt("model is absent.");
    PLUMB_TRY_STATUS(check_model(*model));
    PLUMB_TRY_STATUS(read_vocabulary(model->find("vocab")));
    PLUMB_TRY_STATUS(read_controls(root.find("added_tokens")));
    PLUMB_TRY_STATUS(spell_texts());
    PLUMB_TRY_STATUS(find_byte_tokens());
    PLUMB_TRY_STATUS(read_merges(model->find("merges")));
    return std::move(file_);
  }

 private:
  Status read_vocabulary(const Json* vocabulary) {
    if (vocabulary == nullptr || !vocabulary->is_object()) {
      return corrupt("model.vocab is not an object.");
    }
    ids_.reserve(vocabulary->members().size());
    for (const auto& [entry, value] : vocabulary->members()) {
      PLUMB_TRY(id, token_id(&value, str("model.vocab entry ", json_quote(entry))));
      if (entry.empty()) return corrupt("model.vocab has an empty entry.");
      if (entries_.size() <= static_cast<std::size_t>(id)) entries_.resize(std::size_t(id) + 1);
      if (!entries_[id].empty()) {
        return corrupt(str("model.vocab entries ", json_quote(entries_[id]), " and ",
                           json_quote(entry), " have the same id ", id, "."));
      }
      entries_[id] = entry;
      ids_.emplace(entry, id);
    }
    return {};
  }

  Status read_controls(const Json* list) {
    if (list == nullptr || list->is_null()) return {};
    if (!list->is_array()) return corrupt("added_tokens is not an array.");
    std::unordered_map<std::string_view, Token> names;
    for (std::size_t i = 0; i < list->items().size(); ++i) {
      const Json& item = list->items()[i];
      PLUMB_TRY(control, read_control(item, str("added_tokens[", i, "]")));
      const std::string_view name = item.find("content")->text();
      if (!names.emplace(name, control.id).second) {
        return corrupt(str("added_tokens has ", json_quote(name), " twice."));
      }
      if (controls_.size() <= static_cast<std::size_t>(control.id)) {
        controls_.resize(std::size_t(control.id) + 1);
      }
      if (controls_[control.id]) {
        return corrupt(str("added_tokens has the id ", control.id, " twice."));
      }
      controls_[control.id] = true;
      file_.controls.push_back(std::move(control));
    }
    return {};
  }

  Result<ControlToken> read_control(const Json& item, const std::string& where) const {
    PLUMB_TRY_STATUS(
        expect_keys(item, where,
                    {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
    PLUMB_TRY(id, token_id(item.find("id"), where));
    const Json* content = item.find("content");
    if (content == nullptr || !content->is_string() || content->text().empty()) {
      return corrupt(str(where, ".content is ", shown(content), ", expected a name."));
    }
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      PLUMB_TRY_STATUS(expect(item, where, key, {"false", "absent"}));
    }
    for (const char* key : {"normalized", "special"}) {
      PLUMB_TRY_STATUS(expect(item, where, key, {"false", "true", "absent"}));
    }
    const std::string_view entry = entry_of(id);
    const auto known = ids_.find(content->text());
    if (known != ids_.end() ? known->second != id : !entry.empty()) {
      return corrupt(str(where, " gives ", json_quote(content->text()), " the id ", id,
                         ", model.vocab gives ", entry.empty() ? "it" : json_quote(entry), " ",
                         entry.empty() ? str("the id ", known->second) : "that id", "."));
    }
    const auto flag = [&](const char* key) {
      const Json* value = item.find(key);
      return value != nullptr && value->as_bool().value_or(false);
    };
    return ControlToken{id, content->text(), flag("special"), flag("normalized")};
  }

  Status spell_texts() {
    file_.texts.resize(std::max(entries_.size(), controls_.size()));
    for (std::size_t id = 0; id < entries_.size(); ++id) {
      if (entries_[id].empty() || is_control(id)) continue;
      std::optional<std::string> bytes = spelled_bytes(entries_[id]);
      if (!bytes) {
        return corrupt(str("model.vocab entry ", json_quote(entries_[id]), " (id ", id,
                           ") is neither an added token nor spelled in the byte alphabet."));
      }
      file_.texts[id] = std::move(*bytes);
    }
    return {};
  }

  Status find_byte_tokens() {
    for (char32_t symbol = 0; symbol < kSymbolLimit; ++symbol) {
      const int byte = byte_of_symbol(symbol);
      if (byte < 0) continue;
      std::string entry;
      append_utf8(entry, symbol);
      const auto found = ids_.find(entry);
      if (found == ids_.end() || is_control(found->second)) {
        return corrupt(str("model.vocab has no token for the byte ", byte, " (", json_quote(entry),
                           "); all 256 are needed."));
      }
      file_.byte_tokens[byte] = found->second;
    }
    return {};
  }

  Status read_merges(const Json* list) {
    if (list == nullptr || !list->is_array()) return corrupt("model.merges is not an array.");
    file_.merges.reserve(list->items().size());
    std::string joined;
    for (std::size_t i = 0; i < list->items().size(); ++i) {
      const Json& item = list->items()[i];
      std::string_view left, right;
      if (!merge_parts(item, left, right)) {
        return corrupt(str("model.merges[", i, "] is ", shown(&item),
                           ", expected \"left right\" or [\"left\", \"right\"]."));
      }
      joined.assign(left).append(right);
      Merge merge;
      for (const auto& [part, id] : {std::pair(left, &merge.left), std::pair(right, &merge.right),
                                     std::pair(std::string_view(joined), &merge.result)}) {
        const auto found = ids_.find(part);
        if (found == ids_.end()) {
          return corrupt(str("model.merges[", i, "] needs ", json_quote(part),
                             ", which model.vocab does not have."));
        }
        if (is_control(found->second)) {
          return corrupt(str("model.merges[", i, "] uses ", json_quote(part),
                             ", which is an added token: text could then become a control token."));
        }
        *id = found->second;
      }
      file_.merges.push_back(merge);
    }
    return {};
  }

  static bool merge_parts(const Json& item, std::string_view& left, std::string_view& right) {
    if (item.is_array()) {
      if (item.items().size() != 2) return false;
      if (!item.items()[0].is_string() || !item.items()[1].is_string()) return false;
      left = item.items()[0].text();
      right = item.items()[1].text();
    } else {
      if (!item.is_string()) return false;
      const std::string_view text = item.text();
      const std::size_t space = text.find(' ');
      if (space == text.npos || text.find(' ', space + 1) != text.npos) return false;
      left = text.substr(0, space);
      right = text.substr(space + 1);
    }
    return !left.empty() && !right.empty();
  }

  bool is_control(std::size_t id) const { return id < controls_.size() && controls_[id]; }
  std::string_view entry_of(Token id) const {
    return static_cast<std::size_t>(id) < entries_.size() ? entries_[id] : std::string_view();
  }

  TokenizerFile file_;
  // Views into the JSON tree, which outlives the reader.
  std::vector<std::string_view> entries_;  // by id, as spelled; empty: unused
  std::unordered_map<std::string_view, Token> ids_;
  std::vector<bool> controls_;  // by id
};

}  // namespace

int byte_of_symbol(char32_t symbol) {
  static const auto kTable = [] {
    std::array<std::int16_t, kSymbolLimit> table;
    table.fill(-1);
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      table[printable ? byte : next++] = static_cast<std::int16_t>(byte);
    }
    return table;
  }();
  return symbol < kSymbolLimit ? kTable[symbol] : -1;
}

Result<TokenizerFile> parse_tokenizer_file(std::string_view tokenizer_json) {
  PLUMB_TRY(root, parse_json(tokenizer_json, kWhat));
  PLUMB_TRY_STATUS(expect_keys(root, "the file",
                               {"version", "truncation", "padding", "added_tokens", "normalizer",
                                "pre_tokenizer", "post_processor", "decoder", "model"}));
  PLUMB_TRY_STATUS(expect(root, "the file", "truncation", {"null", "absent"}));
  PLUMB_TRY_STATUS(expect(root, "the file", "padding", {"null", "absent"}));
  PLUMB_TRY_STATUS(check_normalizer(root));
  PLUMB_TRY_STATUS(check_pre_tokenizer(root));
  PLUMB_TRY_STATUS(check_byte_level(root, "post_processor"));
  PLUMB_TRY_STATUS(check_byte_level(root, "decoder"));
  return Reader().read(root);
}

}  // namespace plumb
