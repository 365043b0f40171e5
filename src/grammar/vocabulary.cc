#include "grammar/vocabulary.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace plumb::grammar {
namespace {

// Characters that a longer token may hold count as if they were this many.
constexpr int kMostCounted = 64;

bool is_filler(char32_t code, Filler filler) {
  if (filler == Filler::kRaw) return true;
  return code >= 0x20 && code != '"' && code != '\\' && code != 0x2028 && code != 0x2029;
}

}  // namespace

int count_fillers(std::string_view text, Filler filler) {
  int count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    const Utf8Step step = decode_utf8(text, at);
    if (!step.valid || !is_filler(step.code, filler)) return 0;
    at += step.length;
  }
  return count;
}

Vocabulary::Kind Vocabulary::sorted_out(const std::vector<std::string>& texts, Filler filler) {
  Kind kind;
  std::vector<TokenTrie::Entry> others;
  std::vector<std::vector<Token>> by_count(1);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    if (texts[t].empty()) continue;
    const auto count =
        static_cast<std::size_t>(std::min(count_fillers(texts[t], filler), kMostCounted));
    if (count == 0) {
      others.push_back({texts[t], static_cast<Token>(t)});
      continue;
    }
    if (by_count.size() <= count) by_count.resize(count + 1);
    by_count[count].push_back(static_cast<Token>(t));
  }
  kind.others = TokenTrie(std::move(others));
  TokenSet set((texts.size() + 63) / 64, 0);
  for (const std::vector<Token>& tokens : by_count) {
    for (const Token token : tokens) insert(set, token);
    kind.up_to.push_back(set);
  }
  return kind;
}

Vocabulary::Vocabulary(std::vector<std::string> texts)
    : texts_(std::move(texts)),
      json_(sorted_out(texts_, Filler::kJson)),
      raw_(sorted_out(texts_, Filler::kRaw)) {
  std::vector<TokenTrie::Entry> entries;
  for (std::size_t t = 0; t < texts_.size(); ++t) {
    if (!texts_[t].empty()) entries.push_back({texts_[t], static_cast<Token>(t)});
  }
  all_ = TokenTrie(std::move(entries));
}

const TokenSet& Vocabulary::fillers(Filler filler, int most) const {
  const std::vector<TokenSet>& sets = kind(filler).up_to;
  const auto last = static_cast<int>(sets.size()) - 1;
  // A token of more than kMostCounted characters stands among those that only "any number" has.
  if (most != kUnbounded && last == kMostCounted && most >= last) most = last - 1;
  const int index = most == kUnbounded ? last : std::min(most, last);
  return sets[static_cast<std::size_t>(index)];
}

}  // namespace plumb::grammar
