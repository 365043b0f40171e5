#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <queue>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"

namespace plumb {

namespace {

constexpr std::uint32_t kNoRank = ~std::uint32_t{0};
constexpr std::uint64_t kNoRule = ~std::uint64_t{0};
constexpr int kTokenBits = 21;
constexpr int kRankBits = 22;
constexpr std::uint64_t kRankMask = (std::uint64_t{1} << kRankBits) - 1;

// Pieces of up to this many bytes are merged at once, longer ones window by window: any length then
// costs the same per byte.
constexpr int kIndexBits = 10;
constexpr std::size_t kOverlap = 192;  // of neighbouring windows, in bytes

constexpr std::uint32_t kNoKey = ~std::uint32_t{0};
static_assert(kRankBits + kIndexBits == 32, "a rank and an index are one key");

std::uint32_t pair_order(std::uint32_t rank, std::uint32_t at) {
  return rank == kNoRank ? kNoKey : rank << kIndexBits | at;
}

std::uint64_t pair_key(Token left, Token right) {
  return static_cast<std::uint64_t>(left) << kTokenBits | static_cast<std::uint64_t>(right);
}

std::uint64_t pair_hash(std::uint64_t key) {
  key *= 0x9E3779B97F4A7C15;
  return key ^ key >> 32;
}

}  // namespace

Result<Bpe> Bpe::build(const std::array<Token, 256>& byte_tokens, std::span<const Merge> merges,
                       std::span<const std::string_view> texts) {
  Bpe bpe(texts.size());
  bpe.byte_tokens_ = byte_tokens;
  PLUMB_TRY_STATUS(bpe.add_rules(merges));
  bpe.byte_pair_ranks_.resize(256 * 256);
  for (std::size_t i = 0; i < bpe.byte_pair_ranks_.size(); ++i) {
    bpe.byte_pair_ranks_[i] = bpe.rank(byte_tokens[i >> 8], byte_tokens[i & 255]);
  }
  bpe.find_whole_characters(merges, texts);
  // A vocabulary may hold tokens that no merging reaches; a piece spelled like one is merged.
  std::vector<Token> merged;
  for (std::size_t token = 0; token < texts.size(); ++token) {
    if (texts[token].empty()) continue;
    merged.clear();
    bpe.merge_piece(texts[token], merged);
    if (merged.size() == 1 && merged[0] == static_cast<Token>(token)) {
      bpe.whole_.insert(texts[token], merged[0]);
    }
  }
  return bpe;
}

Status Bpe::add_rules(std::span<const Merge> merges) {
  if (merges.size() > kMaxMerges) {
    return Error{Code::kUnsupported, "The vocabulary has " + std::to_string(merges.size()) +
                                         " merges; at most " + std::to_string(kMaxMerges) +
                                         " are supported."};
  }
  std::size_t size = 16;  // at most half of the slots are used
  while (size < merges.size() * 2) size *= 2;
  rules_.assign(size, kNoRule);
  results_.reserve(merges.size());
  // Four bits or more for each slot: most pairs without a rule are known by their bit alone, in a
  // table that is 16 times smaller than the rules (128 KiB for DeepSeek-V4).
  filter_.assign(size / 16, 0);
  filter_shift_ = 64 - std::countr_zero(size * 4);
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    const Token highest = std::max({merge.left, merge.right, merge.result});
    if (highest > kMaxToken) {
      return Error{Code::kUnsupported, "Merge " + std::to_string(rank) + " uses token id " +
                                           std::to_string(highest) + "; ids up to " +
                                           std::to_string(kMaxToken) + " are supported."};
    }
    const std::uint64_t key = pair_key(merge.left, merge.right);
    std::size_t slot = pair_hash(key) & (size - 1);
    for (; rules_[slot] != kNoRule; slot = (slot + 1) & (size - 1)) {
      if (rules_[slot] >> kRankBits != key) continue;
      return Error{Code::kCorrupt, "Merges " + std::to_string(rules_[slot] & kRankMask) + " and " +
                                       std::to_string(rank) + " join the same two tokens."};
    }
    rules_[slot] = key << kRankBits | rank;
    const std::uint64_t bit = pair_hash(key) >> filter_shift_;
    filter_[bit >> 6] |= std::uint64_t{1} << (bit & 63);
    results_.push_back(merge.result);
  }
  return {};
}

std::uint32_t Bpe::rank(Token left, Token right) const {
  const std::uint64_t key = pair_key(left, right);
  const std::uint64_t hash = pair_hash(key);
  const std::uint64_t bit = hash >> filter_shift_;
  if ((filter_[bit >> 6] >> (bit & 63) & 1) == 0) return kNoRank;
  const std::size_t mask = rules_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    const std::uint64_t rule = rules_[slot];
    if (rule == kNoRule) return kNoRank;
    if (rule >> kRankBits == key) return static_cast<std::uint32_t>(rule & kRankMask);
  }
}

namespace {

bool leads_three_bytes(char c) { return (static_cast<std::uint8_t>(c) & 0xF0) == 0xE0; }

}  // namespace

// Characters of three bytes whose bytes always merge to one token before anything else can happen
// to them, whatever stands before them, if the text ends after them or goes on with another lead of
// three bytes. Merging may then begin with the character's token. That is so when every merge that
// makes the character has a lower rank than every rule that could reach into it while it is being
// made, or that uses the finished character.
void Bpe::find_whole_characters(std::span<const Merge> merges,
                                std::span<const std::string_view> texts) {
  struct Lowest {                         // rank of a rule
    std::uint32_t as_right = kNoRank;     // whose right part is this token
    std::uint32_t before_lead = kNoRank;  // whose left part is, and a lead begins the right part
  };
  std::vector<Lowest> lowest(texts.size());
  for (std::size_t rank = merges.size(); rank-- > 0;) {
    const Merge& merge = merges[rank];
    lowest[merge.right].as_right = static_cast<std::uint32_t>(rank);
    if (leads_three_bytes(texts[merge.right][0])) {
      lowest[merge.left].before_lead = static_cast<std::uint32_t>(rank);
    }
  }
  const auto symbol = [&](char byte) { return byte_tokens_[static_cast<std::uint8_t>(byte)]; };
  characters_.assign(std::size_t{1} << 16, -1);
  for (const std::string_view text : texts) {
    if (text.size() != 3 || !leads_three_bytes(text[0])) continue;
    const Utf8Step step = decode_utf8(text, 0);
    if (!step.valid || step.length != 3) continue;
    const Token a = symbol(text[0]), b = symbol(text[1]), c = symbol(text[2]);
    const std::uint32_t first_two = rank(a, b), last_two = rank(b, c);
    if (first_two == kNoRank && last_two == kNoRank) continue;
    const bool left_first = first_two <= last_two;
    const Token joined = results_[left_first ? first_two : last_two];
    const std::uint32_t last = left_first ? rank(joined, c) : rank(a, joined);
    if (last == kNoRank) continue;
    const std::uint32_t made_at = std::max(std::min(first_two, last_two), last);
    const Token whole = results_[last];
    std::uint32_t disturbed_at = std::min({lowest[a].as_right, lowest[c].before_lead,
                                           lowest[whole].as_right, lowest[whole].before_lead});
    disturbed_at =
        std::min(disturbed_at, left_first ? lowest[joined].as_right : lowest[joined].before_lead);
    if (made_at < disturbed_at) characters_[step.code] = whole;
  }
}

// The token of the character that `text` begins with, where merging may begin with it; else -1.
Token Bpe::whole_character(std::string_view text) const {
  if (text.size() < 3 || !leads_three_bytes(text[0])) return -1;
  if (text.size() > 3 && !leads_three_bytes(text[3])) return -1;
  const auto second = static_cast<std::uint8_t>(text[1]),
             third = static_cast<std::uint8_t>(text[2]);
  // Every other check of UTF-8 is in the table: it has valid characters only.
  if ((second & 0xC0) != 0x80 || (third & 0xC0) != 0x80) return -1;
  return characters_[(text[0] & 0xFU) << 12 | (second & 0x3FU) << 6 | (third & 0x3FU)];
}

// What merging works on: tokens in a row, linked by index. Small enough for the first-level cache.
struct Bpe::Symbols {
  static constexpr std::size_t kCapacity = 1 << kIndexBits;

  // Orders pairs (a symbol and its successor) by rank, then by place; kNoKey where no rule joins
  // them. Padded for merge_symbols().
  std::uint32_t keys[kCapacity + 4];
  Token tokens[kCapacity];
  std::uint16_t begins[kCapacity];  // of the symbol's bytes in the text
  std::uint16_t next[kCapacity];    // `count` after the last
  std::uint16_t previous[kCapacity + 1];
  std::uint32_t count = 0;
};

void Bpe::split_symbols(std::string_view text, Symbols& symbols) const {
  PLUMB_CHECK(text.size() <= Symbols::kCapacity);
  std::uint32_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    const Token character = whole_character(text.substr(at));
    symbols.tokens[count] =
        character >= 0 ? character : byte_tokens_[static_cast<std::uint8_t>(text[at])];
    symbols.begins[count] = static_cast<std::uint16_t>(at);
    symbols.next[count] = static_cast<std::uint16_t>(count + 1);
    symbols.previous[count + 1] = static_cast<std::uint16_t>(count);
    at += character >= 0 ? 3 : 1;
  }
  symbols.count = count;
  for (std::uint32_t i = 0; i + 1 < count; ++i) {
    const std::uint32_t begin = symbols.begins[i], middle = symbols.begins[i + 1];
    const std::uint32_t end = i + 2 < count ? symbols.begins[i + 2] : text.size();
    const std::uint32_t rank_here =
        end - begin == 2
            ? byte_pair_ranks_[std::size_t{static_cast<std::uint8_t>(text[begin])} << 8 |
                               static_cast<std::uint8_t>(text[middle])]
            : rank(symbols.tokens[i], symbols.tokens[i + 1]);
    symbols.keys[i] = pair_order(rank_here, i);
  }
  for (std::uint32_t i = count - 1; i < count + 3; ++i) symbols.keys[i] = kNoKey;
}

void Bpe::merge_symbols(Symbols& symbols) const {
  const std::uint32_t count = symbols.count;
  while (true) {
    std::uint32_t lowest[4] = {kNoKey, kNoKey, kNoKey, kNoKey};
    for (std::uint32_t i = 0; i + 1 < count; i += 4) {
      for (std::uint32_t lane = 0; lane < 4; ++lane) {
        lowest[lane] = std::min(lowest[lane], symbols.keys[i + lane]);
      }
    }
    std::uint32_t key = std::min(std::min(lowest[0], lowest[1]), std::min(lowest[2], lowest[3]));
    if (key == kNoKey) return;
    const std::uint32_t rank_now = key >> kIndexBits;
    // The same pair often comes again soon after (runs of one character): as long as no lower rank
    // came up, it is the next one by the rules.
    while (key >> kIndexBits == rank_now) {
      const std::uint32_t at = key & (Symbols::kCapacity - 1);
      const std::uint32_t gone = symbols.next[at];
      const std::uint32_t after = symbols.next[gone];
      const Token joined = results_[rank_now];
      symbols.tokens[at] = joined;
      symbols.next[at] = static_cast<std::uint16_t>(after);
      symbols.previous[after] = static_cast<std::uint16_t>(at);
      symbols.keys[gone] = kNoKey;
      symbols.keys[at] =
          after < count ? pair_order(rank(joined, symbols.tokens[after]), at) : kNoKey;
      std::uint32_t new_key = symbols.keys[at];
      if (at > 0) {
        const std::uint32_t before = symbols.previous[at];
        symbols.keys[before] = pair_order(rank(symbols.tokens[before], joined), before);
        new_key = std::min(new_key, symbols.keys[before]);
      }
      if (after >= count || new_key < key) break;
      key = symbols.keys[after];
    }
  }
}

void Bpe::merge_piece(std::string_view piece, std::vector<Token>& out) const {
  if (piece.size() > Symbols::kCapacity) return merge_long(piece, out);
  Symbols symbols;
  split_symbols(piece, symbols);
  merge_symbols(symbols);
  for (std::uint32_t i = 0; i < symbols.count; i = symbols.next[i]) {
    out.push_back(symbols.tokens[i]);
  }
}

void Bpe::encode(std::string_view piece, std::vector<Token>& out) const {
  const Token whole = whole_.find(piece);
  if (whole >= 0) {
    out.push_back(whole);
  } else {
    merge_piece(piece, out);
  }
}

// The result for a part of a long piece.
struct Bpe::Window {
  std::vector<Token> tokens;
  std::vector<std::size_t> begins;  // of the tokens' bytes in the piece
  std::size_t end = 0;

  // Indices (here, there) of the first token that both windows have; the sizes if there is none.
  std::pair<std::size_t, std::size_t> shared_with(const Window& other) const {
    std::size_t i = 0, j = 0;
    while (i < tokens.size() && j < other.tokens.size()) {
      if (begins[i] == other.begins[j] && tokens[i] == other.tokens[j]) return {i, j};
      if (begins[i] <= other.begins[j]) {
        ++i;
      } else {
        ++j;
      }
    }
    return {tokens.size(), other.tokens.size()};
  }
};

void Bpe::merge_window(std::string_view piece, std::size_t begin, Window& window) const {
  Symbols symbols;
  const std::string_view text = piece.substr(begin, Symbols::kCapacity);
  split_symbols(text, symbols);
  merge_symbols(symbols);
  window.tokens.clear();
  window.begins.clear();
  window.end = begin + text.size();
  for (std::uint32_t i = 0; i < symbols.count; i = symbols.next[i]) {
    window.tokens.push_back(symbols.tokens[i]);
    window.begins.push_back(begin + symbols.begins[i]);
  }
}

// Why windows give the exact result. A sequence of tokens is what merging its text gives if and
// only if merging the text of every two neighbours gives just these two: until the first merge
// across a border between two tokens, the text of each token goes through the same steps as on its
// own; and whether, and when, a merge across that border is the best one depends on its two sides
// alone. So when two windows share one token (same begin, same id), the first window's tokens
// before it and the second window's tokens from it on are together a valid sequence, and therefore
// the one.
void Bpe::merge_long(std::string_view piece, std::vector<Token>& out) const {
  const std::size_t out_size = out.size();
  Window window, following;
  std::size_t first = 0;  // index of the first token of `window` that is not in `out`
  merge_window(piece, 0, window);
  while (window.end < piece.size()) {
    // The next window begins at a token of this one, a while before its end.
    const std::size_t target = window.end - kOverlap;
    const auto start = std::lower_bound(window.begins.begin(), window.begins.end(), target);
    merge_window(piece, start == window.begins.end() ? window.begins.back() : *start, following);
    const auto [last, next] = window.shared_with(following);
    if (last == window.tokens.size() || last < first || following.end <= window.end) {
      // Tokens as long as windows, or a vocabulary whose merges reach unusually far.
      out.resize(out_size);
      return merge_at_once(piece, out);
    }
    out.insert(out.end(), window.tokens.begin() + first, window.tokens.begin() + last);
    std::swap(window, following);
    first = next;
  }
  out.insert(out.end(), window.tokens.begin() + first, window.tokens.end());
}

// A piece of any length by the rules, without windows: n log n, and about 30 bytes per byte.
void Bpe::merge_at_once(std::string_view piece, std::vector<Token>& out) const {
  struct Symbol {
    Token token;
    std::uint32_t rank;  // of the pair with the next symbol; kNoRank: no rule, no next, or merged
    std::size_t previous;
    std::size_t next;
  };
  using Entry = std::pair<std::uint32_t, std::size_t>;  // rank, index; some no longer hold
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  std::vector<Symbol> symbols(piece.size());
  const auto set_rank = [&](std::size_t at) {
    const std::size_t after = symbols[at].next;
    const bool is_last = after == symbols.size();
    symbols[at].rank = is_last ? kNoRank : rank(symbols[at].token, symbols[after].token);
    if (symbols[at].rank != kNoRank) queue.emplace(symbols[at].rank, at);
  };
  for (std::size_t i = 0; i < piece.size(); ++i) {
    symbols[i] = {byte_tokens_[static_cast<std::uint8_t>(piece[i])], kNoRank, i - 1, i + 1};
  }
  for (std::size_t i = 0; i < piece.size(); ++i) set_rank(i);
  while (!queue.empty()) {
    const auto [rank_now, at] = queue.top();
    queue.pop();
    if (symbols[at].rank != rank_now) continue;
    const std::size_t gone = symbols[at].next;
    symbols[at].token = results_[rank_now];
    symbols[at].next = symbols[gone].next;
    symbols[gone].rank = kNoRank;
    if (symbols[at].next < symbols.size()) symbols[symbols[at].next].previous = at;
    set_rank(at);
    if (at > 0) set_rank(symbols[at].previous);
  }
  for (std::size_t i = 0; i < symbols.size(); i = symbols[i].next) out.push_back(symbols[i].token);
}

}  // namespace plumb
