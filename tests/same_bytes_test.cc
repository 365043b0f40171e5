// Law 2: the logits of a sequence depend on its tokens, the weights and the declared numerics, and on
// nothing else. Every comparison here is ==, on every device tier this machine has.
#include <algorithm>
#include <array>
#include <random>
#include <ranges>

#include "golden_vectors.h"

namespace plumb {
namespace {

using Rows = std::vector<std::vector<float>>;

struct Tier {
  std::string device, isa;
  std::string model;
  std::string numerics = "plain";
};

void PrintTo(const Tier& t, std::ostream* out) { *out << t.device << "/" << t.isa << " " << t.model; }

std::vector<Token> random_tokens(int n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Token> tokens(n);
  for (Token& t : tokens) t = static_cast<Token>(random() % 256);
  return tokens;
}

class SameBytes : public testing::TestWithParam<Tier> {
 protected:
  static constexpr int kDraft = 4;
  // Tokens of the longest walk. Instrumented code is many times slower and looks for something else.
#ifdef __SANITIZE_ADDRESS__
  static constexpr int kQuick = 36, kLongest = 132;
#else
  static constexpr int kQuick = 70, kLongest = 260;
#endif

  void SetUp() override {
    DeviceOptions options{GetParam().device, GetParam().isa, 1};
    if (!open_device(options)) GTEST_SKIP() << "this machine has no " << GetParam().isa;
  }
  TinyModel open(int threads = 2, int pages = 64) const {
    TinyOptions options;
    options.device = GetParam().device;
    options.isa = GetParam().isa;
    options.threads = threads;
    options.pages = pages;
    options.load.numerics = Numerics::named(GetParam().numerics);
    options.load.max_step_tokens = 320;
    options.load.max_scored_rows = 320;
    options.load.max_draft = deepseek_draft_ ? kDraft : 0;
    return open_tiny(source_path(GetParam().model), options);
  }
  // The oracle and the tier without hardware FMA are slow, and so is everything under an emulator or
  // AddressSanitizer: they walk through fewer lengths.
  bool quick() const {
#if defined(PLUMB_EMULATED) || defined(__SANITIZE_ADDRESS__)
    return true;
#endif
    return GetParam().device == "ref" || GetParam().isa == "baseline";
  }
  int longest() const { return quick() ? kQuick : kLongest; }

  // Token by token from nothing: what everything else must equal.
  Rows cold(TinyModel& m, std::span<const Token> tokens) const {
    Rows rows;
    SequenceState state = m.open();
    for (std::size_t i = 0; i < tokens.size(); ++i) rows.push_back(m.run(state, tokens.subspan(i, 1), 1)[0]);
    return rows;
  }

  bool deepseek_draft_ = false;
};

TEST_P(SameBytes, OneShotEqualsTokenByTokenAtEveryLength) {
  TinyModel m = open();
  const std::vector<Token> tokens = random_tokens(longest(), 1);
  const Rows expected = cold(m, tokens);
  for (int n = 1; n <= longest(); ++n) {
    if (quick() && n % 7 != 1) continue;
    SequenceState state = m.open();
    const Rows got = m.run(state, std::span(tokens).first(n), 1);
    ASSERT_EQ(got[0], expected[n - 1]) << "length " << n;
  }
  SequenceState state = m.open();
  ASSERT_EQ(m.run(state, tokens, longest()), expected) << "all positions at once";
}

TEST_P(SameBytes, AnyChunkingEqualsTokenByToken) {
  TinyModel m = open();
  const std::vector<Token> tokens = random_tokens(longest(), 2);
  const Rows expected = cold(m, tokens);
  std::mt19937 random(3);
  for (int round = 0; round < (quick() ? 3 : 12); ++round) {
    const int most = std::array{2, 5, 9, 40, 130}[round % 5];
    SequenceState state = m.open();
    Rows got;
    for (int at = 0; at < longest();) {
      const int n = std::min<int>(1 + static_cast<int>(random() % most), longest() - at);
      for (auto& row : m.run(state, std::span(tokens).subspan(at, n), n)) got.push_back(std::move(row));
      at += n;
    }
    ASSERT_EQ(got, expected) << "chunks of at most " << most;
  }
}

TEST_P(SameBytes, AloneEqualsInABatchOfStrangers) {
  TinyModel m = open();
  constexpr int kStrangers = 7;
  std::vector<std::vector<Token>> tokens;
  std::vector<Rows> expected;
  for (int s = 0; s < kStrangers; ++s) {
    tokens.push_back(random_tokens(20 + 5 * s, 10 + s));
    expected.push_back(cold(m, tokens.back()));
  }
  std::vector<SequenceState> states(kStrangers);
  for (SequenceState& s : states) s = m.open();
  std::vector<Rows> got(kStrangers);
  std::mt19937 random(4);
  while (true) {
    std::vector<BatchItem> batch;
    std::vector<int> who;
    for (int s = 0; s < kStrangers; ++s) {
      const int left = static_cast<int>(tokens[s].size() - states[s].length());
      if (left == 0 || random() % 4 == 0) continue;
      const int n = std::min<int>(left, random() % 2 ? 1 : 1 + static_cast<int>(random() % 9));
      ASSERT_TRUE(m.pool->reserve(states[s], n).has_value());
      batch.push_back({&states[s], std::span(tokens[s]).subspan(states[s].length(), n), n});
      who.push_back(s);
    }
    if (batch.empty()) {
      if (std::ranges::all_of(std::views::iota(0, kStrangers), [&](int s) {
            return states[s].length() == static_cast<Pos>(tokens[s].size());
          })) {
        break;
      }
      continue;
    }
    auto logits = m.model->forward(batch);
    ASSERT_TRUE(logits.has_value());
    int row = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      for (int r = 0; r < batch[i].scored; ++r, ++row) {
        got[who[i]].emplace_back(logits->span(row).begin(), logits->span(row).end());
      }
      m.pool->advance(states[who[i]], std::vector<Key>(batch[i].tokens.begin(), batch[i].tokens.end()));
    }
  }
  EXPECT_EQ(got, expected);
}

TEST_P(SameBytes, OneThreadEqualsTwoAndThree) {
  const std::vector<Token> tokens = random_tokens(std::min(longest(), 140), 5);
  TinyModel one = open(1);
  SequenceState state = one.open();
  const Rows expected = one.run(state, tokens, static_cast<int>(tokens.size()));
  for (int threads : {2, 3}) {
    TinyModel m = open(threads);
    SequenceState other = m.open();
    EXPECT_EQ(m.run(other, tokens, static_cast<int>(tokens.size())), expected) << threads << " threads";
    EXPECT_EQ(cold(m, std::span(tokens).first(20)), Rows(expected.begin(), expected.begin() + 20));
  }
}

TEST_P(SameBytes, AReusedPrefixEqualsACold) {
  TinyModel m = open();
  const int page = m.model->state_layout().page_tokens;
  ASSERT_EQ(page, 128);
  const std::vector<Token> tokens = random_tokens(page + 60, 6);
  SequenceState first = m.open();
  const Rows expected = m.run(first, tokens, static_cast<int>(tokens.size()));
  const std::vector<Key> keys(tokens.begin(), tokens.end());
  {
    SequenceState writer = m.open();
    m.run(writer, std::span(tokens).first(page), 0);
    m.pool->publish(writer);
    m.run(writer, random_tokens(70, 7), 0);  // goes its own way: the shared page must not notice
  }
  SequenceState reader = m.open(keys);
  ASSERT_EQ(reader.length(), page);
  EXPECT_EQ(m.run(reader, std::span(tokens).subspan(page), 60), Rows(expected.begin() + page, expected.end()));
}

TEST_P(SameBytes, SavedAndLoadedEqualsUndisturbedAtEveryResidue) {
  TinyModel m = open();
  const std::vector<Token> tokens = random_tokens(160, 8);
  SequenceState whole = m.open();
  const Rows expected = m.run(whole, tokens, static_cast<int>(tokens.size()));
  std::vector<int> lengths = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 60, 127, 128, 129, 131, 132};
  if (kQuick < 70 && quick()) lengths = {1, 4, 5, 8, 17, 129};
  for (int n : lengths) {
    std::vector<std::byte> saved;
    {
      SequenceState state = m.open();
      m.run(state, std::span(tokens).first(n), 0);
      saved = m.pool->save(state);
    }
    auto loaded = m.pool->load(saved);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    ASSERT_EQ(loaded->length(), n);
    const int rest = std::min<int>(quick() ? 6 : 30, static_cast<int>(tokens.size()) - n);
    ASSERT_EQ(m.run(*loaded, std::span(tokens).subspan(n, rest), rest),
              Rows(expected.begin() + n, expected.begin() + n + rest))
        << "parked at " << n;
  }
}

TEST_P(SameBytes, TruncatedEqualsNeverWritten) {
  TinyModel m = open();
  const int most = m.model->state_layout().max_rewind;
  const std::vector<Token> tokens = random_tokens(longest(), 9);
  const std::vector<Token> noise = random_tokens(64, 10);
  const Rows expected = cold(m, tokens);
  std::mt19937 random(11);
  SequenceState state = m.open();
  Rows got;
  while (static_cast<int>(got.size()) < longest()) {
    const int wrong = static_cast<int>(random() % (most + 1));
    const Pos here = state.length();
    if (wrong > 0) {
      m.run(state, std::span(noise).subspan(random() % 32, wrong), 0);
      ASSERT_TRUE(m.pool->truncate(state, here).has_value());
    }
    const int n = std::min<int>(1 + static_cast<int>(random() % 3), longest() - static_cast<int>(here));
    for (auto& row : m.run(state, std::span(tokens).subspan(here, n), n)) got.push_back(std::move(row));
  }
  EXPECT_EQ(got, expected);
}

TEST_P(SameBytes, TruncatingIntoASharedPageLeavesTheOthersAlone) {
  TinyModel m = open();
  const int page = m.model->state_layout().page_tokens;
  const std::vector<Token> tokens = random_tokens(page + 20, 12);
  SequenceState whole = m.open();
  const Rows expected = m.run(whole, tokens, static_cast<int>(tokens.size()));
  SequenceState writer = m.open();
  m.run(writer, std::span(tokens).first(page), 0);
  m.pool->publish(writer);
  ASSERT_TRUE(m.pool->truncate(writer, page - 3).has_value());
  m.run(writer, random_tokens(9, 13), 0);
  SequenceState reader = m.open(std::vector<Key>(tokens.begin(), tokens.end()));
  ASSERT_EQ(reader.length(), page);
  EXPECT_EQ(m.run(reader, std::span(tokens).subspan(page), 20), Rows(expected.begin() + page, expected.end()));
}

TEST_P(SameBytes, DraftingChangesNothing) {
  deepseek_draft_ = true;
  TinyModel m = open();
  const std::vector<Token> tokens = random_tokens(std::min(longest(), 120), 14);
  const Rows expected = cold(m, tokens);
  std::mt19937 random(15);
  SequenceState state = m.open();
  Rows got;
  while (static_cast<int>(got.size()) < static_cast<int>(tokens.size())) {
    const Pos here = state.length();
    if (here > 0) {
      const DraftItem item{&state, tokens[here], 1 + static_cast<int>(random() % kDraft)};
      ASSERT_TRUE(m.model->draft({&item, 1}, [&](int, int, std::span<const float>) {
                    return static_cast<Token>(random() % 256);
                  }).has_value());
    }
    const int n = std::min<int>(1 + static_cast<int>(random() % 5), static_cast<int>(tokens.size() - here));
    for (auto& row : m.run(state, std::span(tokens).subspan(here, n), n)) got.push_back(std::move(row));
  }
  EXPECT_EQ(got, expected);
}

TEST_P(SameBytes, DraftsThemselvesDoNotDependOnTheCutOfThePrompt) {
  deepseek_draft_ = true;
  TinyModel m = open();
  const std::vector<Token> tokens = random_tokens(40, 16);
  std::vector<Rows> seen;
  for (int chunk : {1, 3, 40}) {
    SequenceState state = m.open();
    for (int at = 0; at < 40; at += chunk) {
      m.run(state, std::span(tokens).subspan(at, std::min(chunk, 40 - at)), 0);
    }
    Rows drafted;
    const DraftItem item{&state, 7, 3};
    ASSERT_TRUE(m.model->draft({&item, 1}, [&](int, int, std::span<const float> logits) {
                  drafted.emplace_back(logits.begin(), logits.end());
                  return static_cast<Token>(std::ranges::max_element(logits) - logits.begin());
                }).has_value());
    seen.push_back(drafted);
  }
  EXPECT_EQ(seen[1], seen[0]);
  EXPECT_EQ(seen[2], seen[0]);
}

TEST_P(SameBytes, EveryTierEqualsTheOracle) {
  TinyModel m = open();
  TinyOptions options;
  options.load.numerics = Numerics::named(GetParam().numerics);
  options.load.max_step_tokens = options.load.max_scored_rows = 320;
  TinyModel oracle = open_tiny(source_path(GetParam().model), options);
  if (m.model->info().numerics.id() != oracle.model->info().numerics.id()) {
    GTEST_SKIP() << "products of this tier's own order are near the oracle's: fast_products_test";
  }
  const std::vector<Token> tokens = random_tokens(150, 17);
  SequenceState ours = m.open(), theirs = oracle.open();
  EXPECT_EQ(m.run(ours, tokens, 150), oracle.run(theirs, tokens, 150));
}

std::vector<Tier> tiers() {
#if defined(PLUMB_EMULATED)
  // One of each kind of numerics.
#if defined(__aarch64__)
  const std::string exact = "neon", fast = "neon-bf16";
#else
  const std::string exact = "avx512", fast = "avx512-bf16";
#endif
  return {{"cpu", exact, "tests/golden/plain_a", "plain"},
          {"cpu", exact, "tests/golden/vendor_a", "vendor"},
          {"cpu", fast, "tests/golden/vendor_a", "fast"}};
#else
#if defined(__aarch64__)
  const std::vector<std::string> isas = {"baseline", "neon", "neon-bf16"};
#else
  const std::vector<std::string> isas = {"baseline", "avx2", "avx512", "avx512-bf16"};
#endif
  std::vector<std::pair<std::string, std::string>> devices = {{"ref", "auto"}};
  for (const std::string& isa : isas) devices.emplace_back("cpu", isa);
  std::vector<Tier> all;
  for (const auto& [device, isa] : devices) {
    all.push_back({device, isa, "tests/golden/plain_a", "plain"});
    all.push_back({device, isa, "tests/golden/vendor_a", "plain"});
    all.push_back({device, isa, "tests/golden/vendor_a", "vendor"});
    all.push_back({device, isa, "tests/golden/vendor_a", "fast"});
  }
  return all;
#endif
}

INSTANTIATE_TEST_SUITE_P(Tiers, SameBytes, testing::ValuesIn(tiers()), [](const auto& info) {
  const Tier& t = info.param;
  std::string name = t.device + "_" + t.isa + (t.model.ends_with("plain_a") ? "_bf16_" : "_fp8_");
  std::replace(name.begin(), name.end(), '-', '_');
  return name + t.numerics;
});

}  // namespace
}  // namespace plumb
