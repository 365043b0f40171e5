#include "fakes/fake_model.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "base/check.h"

namespace plumb {
namespace {

constexpr int kChain = 0, kGroups = 1;  // streams
constexpr int kGroupTokens = 4;
constexpr int kRecent = 5;  // ring rows that every token looks at

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2))) * 0xbf58476d1ce4e5b9u;
  x ^= x >> 29;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 32);
}

// The rows that a prefix leaves behind. Values of positions < 0 are 0.
struct Rows {
  virtual ~Rows() = default;
  virtual std::uint64_t chain(Pos p) const = 0;
  virtual std::uint64_t recent(Pos p) const = 0;
  virtual std::uint64_t group(Pos g) const = 0;
  virtual void put_chain(Pos p, std::uint64_t value) = 0;
  virtual void put_recent(Pos p, std::uint64_t value) = 0;
  virtual void put_group(Pos g, std::uint64_t value) = 0;
};

// Bit 0 of a chain value says that a bad token was seen.
std::uint64_t append(Rows& rows, Pos p, Token token, bool bad) {
  const std::uint64_t own =
      mix(static_cast<std::uint64_t>(token) + 1, static_cast<std::uint64_t>(p));
  rows.put_recent(p, own);
  std::uint64_t h = mix(p > 0 ? rows.chain(p - 1) : 7, own);
  for (int i = 1; i <= kRecent && p - i >= 0; ++i) h = mix(h, rows.recent(p - i));
  if (p / kGroupTokens > 0) {
    h = mix(h, rows.group(p / kGroupTokens / 2));  // one far away
    h = mix(h, rows.group(p / kGroupTokens - 1));  // the last complete one
  }
  const bool was_bad = p > 0 && (rows.chain(p - 1) & 1) != 0;
  h = (h & ~std::uint64_t{1}) | (bad || was_bad ? 1 : 0);
  rows.put_chain(p, h);
  if (p % kGroupTokens == kGroupTokens - 1) {
    std::uint64_t g = 11;
    for (int i = 0; i < kGroupTokens; ++i) g = mix(g, rows.recent(p - i));
    rows.put_group(p / kGroupTokens, g);
  }
  return h;
}

struct PlainRows final : Rows {
  std::uint64_t chain(Pos p) const override { return c.at(p); }
  std::uint64_t recent(Pos p) const override { return r.at(p); }
  std::uint64_t group(Pos g) const override { return gs.at(g); }
  void put_chain(Pos p, std::uint64_t v) override { c[p] = v; }
  void put_recent(Pos p, std::uint64_t v) override { r[p] = v; }
  void put_group(Pos g, std::uint64_t v) override { gs[g] = v; }
  std::map<Pos, std::uint64_t> c, r, gs;
};

}  // namespace

// Rows in a sequence's pages and ring; with `own` set, writes go there instead.
class FakeModel::View final : public Rows {
 public:
  View(const FakeModel& model, const SequenceState& state, PlainRows* own)
      : model_(model), state_(state), own_(own) {}

  std::uint64_t chain(Pos p) const override {
    return own_ && own_->c.count(p) ? own_->c.at(p) : load(row(kChain, p));
  }
  std::uint64_t recent(Pos p) const override {
    return own_ && own_->r.count(p) ? own_->r.at(p) : load(slot(p));
  }
  std::uint64_t group(Pos g) const override {
    return own_ && own_->gs.count(g) ? own_->gs.at(g) : load(row(kGroups, g));
  }
  void put_chain(Pos p, std::uint64_t v) override {
    own_ ? own_->put_chain(p, v) : store(row(kChain, p), v);
  }
  void put_recent(Pos p, std::uint64_t v) override {
    own_ ? own_->put_recent(p, v) : store(slot(p), v);
  }
  void put_group(Pos g, std::uint64_t v) override {
    own_ ? own_->put_group(g, v) : store(row(kGroups, g), v);
  }

 private:
  static std::uint64_t load(const std::byte* at) {
    std::uint64_t v;
    std::memcpy(&v, at, sizeof v);
    return v;
  }
  static void store(std::byte* at, std::uint64_t v) { std::memcpy(at, &v, sizeof v); }

  std::byte* row(int stream, Pos index) const {
    const StatePool& pool = *model_.pool_;
    const int per_page = pool.rows_per_page(stream);
    const auto page = static_cast<std::size_t>(index / per_page);
    PLUMB_CHECK(page < state_.pages().size());
    return pool.stream_base(stream) + state_.pages()[page] * pool.stream_page_stride(stream) +
           index % per_page * 8;
  }
  std::byte* slot(Pos p) const {
    return state_.tail() + model_.layout_.tail_offset(0) + p % model_.layout_.tail[0].capacity * 8;
  }

  const FakeModel& model_;
  const SequenceState& state_;
  PlainRows* own_;
};

FakeModel::FakeModel(const FakeModelOptions& options) : options_(options) {
  info_.name = "fake";
  info_.fingerprint = "fake-weights";
  info_.numerics = Numerics::plain();
  info_.vocab = options.vocab;
  info_.max_positions = options.max_positions;
  info_.max_step_tokens = options.max_step_tokens;
  info_.max_scored_rows = options.max_scored_rows;
  info_.max_draft = options.max_draft;
  layout_.page_tokens = options.page_tokens;
  layout_.max_rewind = options.max_draft;
  layout_.streams = {{"chain", 8, 1}, {"groups", 8, kGroupTokens}};
  layout_.tail = {
      {"recent", 8, kRecent, kGroupTokens, kRecent + kGroupTokens - 1 + options.max_draft}};
}

void FakeModel::fill_logits(std::uint64_t hash, bool bad, std::span<float> out) const {
  for (std::size_t v = 0; v < out.size(); ++v) {
    out[v] = static_cast<float>(mix(hash, v) >> 40) * 0x1p-24f * 8.0f - 4.0f;
  }
  if (bad) out[out.size() / 2] = std::numeric_limits<float>::quiet_NaN();
}

Result<Mat<const float>> FakeModel::forward(std::span<const BatchItem> batch) {
  if (options_.fail_at_forward >= 0 && forwards_ >= options_.fail_at_forward) {
    return Error{Code::kInternal, "The fake device broke as it was told to."};
  }
  ++forwards_;
  const auto vocab = static_cast<std::size_t>(options_.vocab);
  int rows = 0, tokens = 0;
  for (const BatchItem& item : batch) {
    rows += item.scored;
    tokens += static_cast<int>(item.tokens.size());
  }
  PLUMB_CHECK(tokens <= options_.max_step_tokens && rows <= options_.max_scored_rows);
  tokens_ += static_cast<std::uint64_t>(tokens);
  logits_.resize(static_cast<std::size_t>(rows) * vocab);
  std::size_t row = 0;
  for (const BatchItem& item : batch) {
    const auto count = static_cast<int>(item.tokens.size());
    PLUMB_CHECK(count > 0 && item.scored <= count);
    View view(*this, *item.state, nullptr);
    for (int i = 0; i < count; ++i) {
      const Token token = item.tokens[static_cast<std::size_t>(i)];
      const std::uint64_t h =
          append(view, item.state->length() + i, token, token == options_.nan_after);
      if (i < count - item.scored) continue;
      fill_logits(h, (h & 1) != 0, std::span(logits_).subspan(row++ * vocab, vocab));
    }
  }
  return Mat<const float>::dense(logits_.data(), rows, options_.vocab);
}

Status FakeModel::draft(std::span<const DraftItem> items, const DraftPick& pick) {
  std::vector<float> logits(static_cast<std::size_t>(options_.vocab));
  for (std::size_t i = 0; i < items.size(); ++i) {
    PLUMB_CHECK(items[i].state->length() > 0 && items[i].count <= options_.max_draft);
    PlainRows own;
    View view(*this, *items[i].state, &own);
    Token token = items[i].next;
    for (int s = 0; s < items[i].count; ++s) {
      std::uint64_t h =
          append(view, items[i].state->length() + s, token, false) & ~std::uint64_t{1};
      if (mix(h, 99) % 3 == 0) h = mix(h, 5);  // wrong this time
      fill_logits(h, false, logits);
      token = pick(static_cast<int>(i), s, logits);
    }
  }
  return {};
}

std::vector<float> FakeModel::logits_after(std::span<const Token> prefix) const {
  PlainRows rows;
  std::uint64_t h = 0;
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    h = append(rows, static_cast<Pos>(i), prefix[i], prefix[i] == options_.nan_after);
  }
  std::vector<float> logits(static_cast<std::size_t>(options_.vocab));
  fill_logits(h, (h & 1) != 0, logits);
  return logits;
}

FakeStack::FakeStack(const FakeModelOptions& model_options, const PoolOptions& pool_options) {
  DeviceOptions device_options;
  device_options.name = "ref";
  auto opened = open_device(device_options);
  PLUMB_CHECK(opened.has_value());
  device = std::move(*opened);
  model = std::make_unique<FakeModel>(model_options);
  auto created = StatePool::create(*device, model->state_layout(), pool_options);
  PLUMB_CHECK(created.has_value());
  pool = std::move(*created);
  model->attach(*pool);
}

}  // namespace plumb
