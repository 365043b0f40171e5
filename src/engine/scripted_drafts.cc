#include "engine/scripted_drafts.h"

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace plumb {
namespace {

// No temperature makes anything of the others.
constexpr float kCertain = 1e4f;

}  // namespace

void ScriptedDrafts::record(std::span<const Token> text) {
  texts_.emplace_back(text.begin(), text.end());
}

// The first recorded text that begins with the sequence and its next token; null: none.
const std::vector<Token>* ScriptedDrafts::text_of(const DraftItem& item) const {
  const std::span<const Key> keys = item.state->keys();
  for (const std::vector<Token>& text : texts_) {
    if (text.size() > keys.size() && std::equal(keys.begin(), keys.end(), text.begin()) &&
        text[keys.size()] == item.next) {
      return &text;
    }
  }
  return nullptr;
}

Status ScriptedDrafts::draft(std::span<const DraftItem> items, const DraftPick& pick) {
  std::vector<const std::vector<Token>*> texts;
  for (const DraftItem& item : items) texts.push_back(text_of(item));
  const auto vocab = static_cast<std::size_t>(info().vocab);
  std::vector<float> certain(vocab, 0.0f);
  return model_.draft(items, [&](int i, int step, std::span<const float> logits) {
    const std::vector<Token>* text = texts[static_cast<std::size_t>(i)];
    const auto position = items[static_cast<std::size_t>(i)].state->keys().size() + 1 +
                          static_cast<std::size_t>(step);
    if (!text || position >= text->size()) return pick(i, step, logits);
    const auto stream = static_cast<std::uint64_t>(text - texts_.data());
    auto token = static_cast<std::size_t>((*text)[position]);
    if (uniform(seed_, position, stream) >= right_) token = (token + 1) % vocab;
    certain[token] = kCertain;
    const Token picked = pick(i, step, certain);
    certain[token] = 0;
    return picked;
  });
}

}  // namespace plumb
