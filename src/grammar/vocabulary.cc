#include "grammar/vocabulary.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "grammar/characters.h"

namespace plumb::grammar {
namespace {

// Characters that a longer token may hold count as if they were this many.
constexpr int kMostCounted = 64;

}  // namespace

Fillers leading_fillers(std::string_view text, Filler filler) {
  const CharSet& characters = filler_characters(filler);
  Fillers out;
  while (out.bytes < text.size()) {
    const Utf8Step step = decode_utf8(text, out.bytes);
    if (!step.valid || !characters.contains(step.code)) break;
    out.bytes += step.length;
    ++out.count;
  }
  return out;
}

Vocabulary::Kind Vocabulary::sorted_out(const std::vector<std::string>& texts, Filler filler) {
  Kind kind;
  kind.rest.assign(texts.size(), 0);
  std::vector<std::vector<TokenTrie::Entry>> behind;
  std::vector<std::vector<Token>> by_count(1);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const std::string_view text = texts[t];
    if (text.empty()) continue;
    const Fillers lead = leading_fillers(text, filler);
    if (lead.bytes < text.size()) {
      const auto count = static_cast<std::size_t>(lead.count);
      if (behind.size() <= count) behind.resize(count + 1);
      behind[count].push_back({text.substr(lead.bytes), static_cast<Token>(t)});
      kind.rest[t] = static_cast<std::uint32_t>(text.size() - lead.bytes);
      continue;
    }
    const auto count = static_cast<std::size_t>(std::min(lead.count, kMostCounted));
    if (by_count.size() <= count) by_count.resize(count + 1);
    by_count[count].push_back(static_cast<Token>(t));
  }
  for (std::vector<TokenTrie::Entry>& entries : behind)
    kind.behind.emplace_back(std::move(entries));
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
