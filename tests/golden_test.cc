// The whole model against what implementations that nobody here wrote computed (tests/golden/README.md).
#include <algorithm>
#include <cmath>

#include "golden_vectors.h"

namespace plumb {
namespace {

using deepseek_v4::LoadOptions;

float max_abs(const Recorded& r) {
  float most = 0;
  for (float v : r.floats) most = std::max(most, std::fabs(v));
  return most;
}

float max_difference(std::span<const float> ours, const float* theirs) {
  float most = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!(std::fabs(ours[i] - theirs[i]) <= most)) most = std::fabs(ours[i] - theirs[i]);  // NaN shows
  }
  return most;
}

std::vector<Token> tokens_of(const Vectors& v) {
  const Recorded& r = v.at("tokens");
  return {r.ints.begin(), r.ints.end()};
}

struct Case {
  std::string name;
  std::string device;
  Numerics numerics;
  float tolerance;  // of the largest logit
  // Of the largest stream value. In vendor numerics streams are bfloat16, and one flipped last bit
  // may be 2^-7 of a value (tests/golden/README.md).
  float stream_tolerance;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name << " on " << c.device; }

class Golden : public testing::TestWithParam<Case> {
 protected:
  std::filesystem::path directory() const { return source_path("tests/golden/" + GetParam().name); }
  TinyModel open(int max_draft = 0) const {
    TinyOptions options;
    options.device = GetParam().device;
    options.threads = 2;
    options.load.numerics = GetParam().numerics;
    options.load.max_step_tokens = 512;
    options.load.max_scored_rows = 512;
    options.load.max_draft = max_draft;
    return open_tiny(directory(), options);
  }
};

// Records what the layers put out, and checks the choices on the way.
struct Watch {
  const Vectors& vectors;
  float worst_stream = 0;  // relative to the largest value of that layer's streams
  int first_position = 0;

  Tap tap() {
    Tap t;
    t.floats = [this](std::string_view name, int layer, Mat<const float> value) {
      const std::string key = "layer." + std::to_string(layer) + ".streams";
      if (name != "streams" || !vectors.has(key)) return;
      const Recorded& expected = vectors.at(key);
      const Recorded& positions = vectors.at("streams.positions");
      const float scale = max_abs(expected);
      for (std::size_t i = 0; i < positions.ints.size(); ++i) {
        const std::int64_t row = positions.ints[i] - first_position;
        if (row < 0 || row >= value.rows) continue;
        const float difference = max_difference(value.span(static_cast<int>(row)),
                                                expected.row(static_cast<std::int64_t>(i)));
        if (!(difference / scale <= worst_stream)) worst_stream = difference / scale;
      }
    };
    t.ids = [this](std::string_view name, int layer, Mat<const std::int32_t> value,
                   std::span<const std::int32_t> count) {
      const std::string key = "layer." + std::to_string(layer) + "." + std::string(name);
      if (!vectors.has(key)) return;
      const Recorded& expected = vectors.at(key);
      for (int t = 0; t < value.rows; ++t) {
        const std::int64_t* row = expected.ints.data() + (first_position + t) * expected.width();
        std::vector<std::int64_t> theirs, ours;
        for (std::int64_t j = 0; j < expected.width(); ++j) {
          if (row[j] >= 0) theirs.push_back(row[j]);
        }
        const int n = count.empty() ? value.cols : count[t];
        ours.assign(value.row(t), value.row(t) + n);
        ASSERT_EQ(ours, theirs) << key << " at position " << first_position + t;
      }
    };
    return t;
  }
};

TEST_P(Golden, LogitsAgreeAtEveryPositionInOnePrefill) {
  const Vectors vectors(directory() / "vectors.safetensors");
  TinyModel m = open();
  Watch watch{vectors};
  m.model->set_tap(watch.tap());
  const std::vector<Token> tokens = tokens_of(vectors);
  SequenceState state = m.open();
  const auto logits = m.run(state, tokens, static_cast<int>(tokens.size()));
  const Recorded& expected = vectors.at("logits");
  const float limit = GetParam().tolerance * max_abs(expected);
  float worst = 0;
  for (std::size_t t = 0; t < logits.size(); ++t) {
    const float difference = max_difference(logits[t], expected.row(static_cast<std::int64_t>(t)));
    EXPECT_LE(difference, limit) << "position " << t;
    worst = std::max(worst, difference);
  }
  EXPECT_LE(watch.worst_stream, GetParam().stream_tolerance);
  RecordProperty("worst_logit_difference", std::to_string(worst / max_abs(expected)));
  RecordProperty("worst_stream_difference", std::to_string(watch.worst_stream));
  std::printf("%s on %s: logits within %.2e, streams within %.2e of the largest\n",
              GetParam().name.c_str(), GetParam().device.c_str(), worst / max_abs(expected),
              watch.worst_stream);
}

TEST_P(Golden, LogitsAgreeTokenByToken) {
  const Vectors vectors(directory() / "vectors.safetensors");
  TinyModel m = open();
  Watch watch{vectors};
  m.model->set_tap(watch.tap());
  const std::vector<Token> tokens = tokens_of(vectors);
  SequenceState state = m.open();
  const Recorded& expected = vectors.at("logits");
  const float limit = GetParam().tolerance * max_abs(expected);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    watch.first_position = static_cast<int>(t);
    const auto logits = m.run(state, {&tokens[t], 1}, 1);
    ASSERT_LE(max_difference(logits[0], expected.row(static_cast<std::int64_t>(t))), limit)
        << "position " << t;
  }
  EXPECT_LE(watch.worst_stream, GetParam().stream_tolerance);
}

TEST_P(Golden, DraftsAgreeForEveryPairAndChained) {
  const Vectors vectors(directory() / "vectors.safetensors");
  if (!vectors.has("mtp.logits")) GTEST_SKIP() << "no draft block in this checkpoint";
  TinyModel m = open(2);
  const std::vector<Token> tokens = tokens_of(vectors);
  const Recorded& expected = vectors.at("mtp.logits");
  const Recorded& positions = vectors.at("mtp.chain.positions");
  const Recorded& first = vectors.at("mtp.chain.first");
  const Recorded& chained = vectors.at("mtp.chain.logits");
  const float limit = GetParam().tolerance * max_abs(expected);
  SequenceState state = m.open();
  for (std::size_t t = 0; t + 1 < tokens.size(); ++t) {
    m.run(state, {&tokens[t], 1}, 0);
    const auto at = std::ranges::find(positions.ints, static_cast<std::int64_t>(t));
    const std::int64_t chain = at - positions.ints.begin();
    const bool is_chained = at != positions.ints.end();
    const DraftItem item{&state, tokens[t + 1], is_chained ? 2 : 1};
    const Status done = m.model->draft({&item, 1}, [&](int, int step, std::span<const float> logits) {
      const float* row = step == 0 ? expected.row(static_cast<std::int64_t>(t)) : chained.row(chain);
      EXPECT_LE(max_difference(logits, row), limit) << "pair " << t << ", step " << step;
      return is_chained && step == 0 ? static_cast<Token>(first.ints[chain]) : 0;
    });
    ASSERT_TRUE(done.has_value());
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string device : {"ref", "cpu"}) {
    for (const std::string name : {"plain_a", "plain_b", "plain_c"}) {
      all.push_back({name, device, Numerics::plain(), 1e-4f, 1e-4f});
    }
    all.push_back({"vendor_a", device, Numerics::vendor(), 1e-3f, 0x1p-7f});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Published, Golden, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name + "_" + info.param.device; });

}  // namespace
}  // namespace plumb
