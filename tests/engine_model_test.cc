// Law 2 through the whole engine with a real model: an answer, down to the bits of its log
// probabilities, depends on nothing but its prompt, the sampling and the weights.
#include <optional>
#include <random>
#include <variant>

#include "engine/engine_core.h"
#include "golden_vectors.h"

namespace plumb {
namespace {

constexpr int kMaxDraft = 4;

struct Answer {
  std::vector<Token> tokens;
  std::vector<float> logprobs;
  GenerationEnd end;
  bool operator==(const Answer& other) const {
    return tokens == other.tokens && logprobs == other.logprobs;
  }
};

void PrintTo(const Answer& answer, std::ostream* out) {
  for (const Token t : answer.tokens) *out << t << " ";
}

Answer drain(Mailbox& mail) {
  Answer answer;
  while (auto event = mail.events.try_pop()) {
    if (const auto* token = std::get_if<TokenEvent>(&*event)) {
      answer.tokens.push_back(token->token);
      answer.logprobs.push_back(token->logprob);
    } else if (const auto* end = std::get_if<GenerationEnd>(&*event)) {
      answer.end = *end;
    }
  }
  EXPECT_FALSE(answer.end.error) << answer.end.error->message;
  return answer;
}

struct How {
  int threads = 2, pages = 40, drafts = 0, step_tokens = 64;
  std::size_t snapshot_bytes = std::size_t{16} << 20;
};

// A tiny checkpoint behind an engine that is stepped by hand.
class TinyEngine {
 public:
  explicit TinyEngine(const std::string& checkpoint, bool vendor, const How& setup = {})
      : model_(open(checkpoint, vendor, setup)) {
    EngineOptions options;
    options.drafts = setup.drafts;
    options.draft_always = true;
    options.scheduler.max_step_tokens = setup.step_tokens;
    options.scheduler.min_chunk = 5;
    options.scheduler.max_sequences = 8;
    core_.emplace(*model_.model, *model_.pool, options);
  }

  std::shared_ptr<Mailbox> add(GenerateRequest request) {
    const EngineLimits limits = limits_of(model_.model->info(), *model_.pool, {});
    const Status fits = check_request(request, limits);
    EXPECT_TRUE(fits) << fits.error().message;
    auto mail = make_mailbox(request, limits.context);
    core_->add(std::move(request), mail);
    return mail;
  }
  void run(int steps = 1 << 30) {
    for (int i = 0; i < steps && !core_->idle(); ++i) ASSERT_TRUE(core_->step());
  }
  Answer answer(GenerateRequest request) {
    auto mail = add(std::move(request));
    run();
    return drain(*mail);
  }
  EngineCore& core() { return *core_; }

 private:
  static TinyModel open(const std::string& checkpoint, bool vendor, const How& setup) {
    TinyOptions options;
    options.device = "cpu";
    options.threads = setup.threads;
    options.pages = setup.pages;
    options.sequences = 8;
    options.snapshot_bytes = setup.snapshot_bytes;
    options.load.numerics = vendor ? Numerics::vendor() : Numerics::plain();
    options.load.max_step_tokens = 64;
    options.load.max_scored_rows = 32;
    options.load.max_draft = kMaxDraft;
    return open_tiny(source_path(checkpoint), options);
  }
  TinyModel model_;
  std::optional<EngineCore> core_;
};

std::vector<Token> random_tokens(int n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Token> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back(static_cast<Token>(random() % 200));
  return tokens;
}

// A stranger of its own kind: greedy, seeded, with cuts, with penalties.
GenerateRequest stranger(int i, bool speculate = true) {
  GenerateRequest request;
  // The first two grow into a second page while they write.
  constexpr int kLengths[] = {110, 120, 7, 193, 38, 131, 69};
  request.prompt = random_tokens(kLengths[i], 100u + static_cast<unsigned>(i));
  request.max_tokens = 24;
  request.speculate = speculate;
  request.sampling.logprobs = 0;
  request.sampling.seed = static_cast<std::uint64_t>(i);
  if (i % 3 == 0) request.sampling.temperature = 0;
  if (i % 3 == 1) request.sampling.top_p = 0.9f;
  if (i % 2 == 1) request.sampling.frequency_penalty = 0.7f;
  return request;
}

struct Checkpoint {
  const char* path;
  bool vendor;
};
void PrintTo(const Checkpoint& c, std::ostream* out) {
  *out << c.path << (c.vendor ? " vendor" : "");
}

class EngineOverModel : public ::testing::TestWithParam<Checkpoint> {
 protected:
  TinyEngine open(const How& setup = {}) const {
    return TinyEngine(GetParam().path, GetParam().vendor, setup);
  }
  // Alone, cold, one thread, without speculation.
  std::vector<Answer> cold(int strangers) const {
    std::vector<Answer> answers;
    for (int i = 0; i < strangers; ++i) {
      How setup;
      setup.threads = 1;
      setup.snapshot_bytes = 0;
      TinyEngine engine = open(setup);
      answers.push_back(engine.answer(stranger(i)));
      EXPECT_EQ(answers.back().tokens.size(), 24u);
    }
    return answers;
  }
};

TEST_P(EngineOverModel, StrangersSpeculationParkingAndThreadsChangeNothing) {
  constexpr int kStrangers = 7;
  const std::vector<Answer> expected = cold(kStrangers);
  int drafted = 0, parked = 0;
  for (const How& setup :
       {How{.threads = 2}, How{.threads = 2, .drafts = 1}, How{.threads = 1, .drafts = 3},
        How{.threads = 2, .step_tokens = 11}, How{.threads = 2, .pages = 3, .drafts = 2}}) {
    TinyEngine engine = open(setup);
    std::vector<std::shared_ptr<Mailbox>> mails;
    for (int i = 0; i < kStrangers; ++i) {
      mails.push_back(engine.add(stranger(i)));
      engine.run(2);
    }
    engine.run();
    for (std::size_t i = 0; i < mails.size(); ++i) {
      const Answer answer = drain(*mails[i]);
      EXPECT_EQ(answer, expected[i])
          << i << " with " << setup.drafts << " drafts, " << setup.pages << " pages";
      drafted += answer.end.usage.drafted;
    }
    parked += static_cast<int>(engine.core().stats().parked);
  }
  EXPECT_GT(drafted, 0);
  EXPECT_GT(parked, 0);
}

TEST_P(EngineOverModel, ReusedPrefixesSessionsAndSavedOnesEqualCold) {
  const std::vector<Token> shared = random_tokens(150, 1);
  const auto turn = [&](std::vector<Token> prompt) {
    GenerateRequest request = stranger(1);
    request.prompt = std::move(prompt);
    request.session = "chat";
    return request;
  };
  std::vector<Token> next;  // the second turn: the first, its answer, and something new
  std::vector<std::byte> saved;
  for (const int drafts : {0, 3}) {
    TinyEngine engine = open({.drafts = drafts});
    const Answer first = engine.answer(turn(shared));
    next = shared;
    next.insert(next.end(), first.tokens.begin(), first.tokens.end());
    for (const Token t : random_tokens(5, 2)) next.push_back(t);
    auto bytes = engine.core().save_session("chat");
    ASSERT_TRUE(bytes) << bytes.error().message;
    saved = std::move(*bytes);
    const Answer warm = engine.answer(turn(next));
    EXPECT_EQ(warm.end.usage.cached, static_cast<int>(shared.size()) + 23)
        << "all but the last token drawn";

    GenerateRequest fresh = turn(next);
    fresh.session.clear();
    TinyEngine other = open();
    const Answer expected = other.answer(std::move(fresh));
    EXPECT_EQ(warm, expected) << drafts;

    TinyEngine loaded = open({.drafts = drafts});
    const auto length = loaded.core().load_session("chat", saved);
    ASSERT_TRUE(length) << length.error().message;
    const Answer resumed = loaded.answer(turn(next));
    EXPECT_EQ(resumed.end.usage.cached, warm.end.usage.cached);
    EXPECT_EQ(resumed, expected) << "after loading";

    // Somebody else with the same beginning, from the published prefix.
    std::vector<Token> similar(shared.begin(), shared.begin() + 140);
    GenerateRequest reuse = stranger(2);
    reuse.prompt = similar;
    GenerateRequest again = stranger(2);
    again.prompt = similar;
    const Answer reused = engine.answer(std::move(reuse));
    EXPECT_EQ(reused.end.usage.cached, 128);
    TinyEngine empty = open();
    EXPECT_EQ(reused, empty.answer(std::move(again)));
  }
  // A state of other numerics is refused by name. (Not every tiny model has widths that both take.)
  if (std::string(GetParam().path) != "models/minnow") return;
  TinyEngine foreign(GetParam().path, !GetParam().vendor);
  const auto refused = foreign.core().load_session("chat", saved);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("other numerics"), std::string::npos)
      << refused.error().message;
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, EngineOverModel,
                         ::testing::Values(Checkpoint{"models/minnow", false},
                                           Checkpoint{"models/minnow", true},
                                           Checkpoint{"tests/golden/plain_a", false},
                                           Checkpoint{"tests/golden/vendor_a", true}));

}  // namespace
}  // namespace plumb
