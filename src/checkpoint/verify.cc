#include "checkpoint/verify.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/digest.h"
#include "tensor/format.h"

namespace plumb {
namespace {

// Small enough to be in the cache for the second look; a multiple of every element.
constexpr std::uint64_t kChunk = 1 << 20;

template <class Word>
Word word_at(const std::byte* data, std::uint64_t i) {
  Word word;
  std::memcpy(&word, data + i * sizeof(Word), sizeof(Word));
  return word;
}

// Counts words whose bits under `mask` make up a bad code.
template <class Word, class Bad>
void count_bad(std::span<const std::byte> bytes, std::uint64_t base, Bad bad, BadNumbers& found) {
  const std::uint64_t n = bytes.size() / sizeof(Word);
  std::uint64_t here = 0;
  for (std::uint64_t i = 0; i < n; ++i) here += bad(word_at<Word>(bytes.data(), i)) ? 1 : 0;
  if (here == 0) return;
  if (found.count == 0) {
    std::uint64_t i = 0;
    while (!bad(word_at<Word>(bytes.data(), i))) ++i;
    found.first = base + i;
  }
  found.count += here;
}

// `base`: index of the first element of `bytes` in its tensor.
void scan(Element element, std::span<const std::byte> bytes, std::uint64_t base,
          BadNumbers& found) {
  switch (element) {
    case Element::kF8E4M3:
      count_bad<std::uint8_t>(
          bytes, base, [](std::uint8_t b) { return (b & 0x7F) == 0x7F; }, found);
      return;
    case Element::kF8E8M0:
      count_bad<std::uint8_t>(
          bytes, base, [](std::uint8_t b) { return b == 0xFF; }, found);
      return;
    case Element::kBF16:
      count_bad<std::uint16_t>(
          bytes, base, [](std::uint16_t b) { return (b & 0x7F80) == 0x7F80; }, found);
      return;
    case Element::kF16:
      count_bad<std::uint16_t>(
          bytes, base, [](std::uint16_t b) { return (b & 0x7C00) == 0x7C00; }, found);
      return;
    case Element::kF32:
      count_bad<std::uint32_t>(
          bytes, base, [](std::uint32_t b) { return (b & 0x7F800000U) == 0x7F800000U; }, found);
      return;
    default:
      return;  // integers and packed FP4 have no bad codes
  }
}

}  // namespace

ShardCheck verify_shard(const WeightStore& store, int shard,
                        const std::function<void(std::uint64_t done)>& progress) {
  std::vector<const StoredTensor*> tensors;
  for (const StoredTensor& t : store.tensors()) {
    if (t.shard == shard) tensors.push_back(&t);
  }
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
  });
  // Tensors fill the file from the end of its header without gaps, so one pass reads everything.
  ShardCheck check;
  Sha256 hash;
  std::uint64_t done = store.shards()[static_cast<std::size_t>(shard)].header_bytes;
  hash.update(store.shard_data(shard).first(done));
  for (const StoredTensor* t : tensors) {
    BadNumbers found{t->name, 0, 0};
    const auto data = store.data(*t);
    for (std::uint64_t at = 0; at < data.size(); at += kChunk) {
      const auto piece = data.subspan(at, std::min<std::uint64_t>(kChunk, data.size() - at));
      hash.update(piece);
      if (t->element) scan(*t->element, piece, at / element_bytes(*t->element, 1), found);
      done += piece.size();
      if (progress) progress(done);
    }
    if (found.count > 0) check.bad.push_back(std::move(found));
  }
  check.sha256 = hex(hash.finish());
  return check;
}

}  // namespace plumb
