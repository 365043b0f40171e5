// The bundled model's logits against the trainer's own forward pass over the exported files
// (tests/minnow/README.md): real weights, and long enough for rows of every kind.
#include <algorithm>
#include <cmath>

#include "golden_vectors.h"

namespace plumb {
namespace {

float largest(const Recorded& recorded) {
  float most = 0;
  for (const float value : recorded.floats) most = std::max(most, std::fabs(value));
  return most;
}

TEST(MinnowLogits, AgreeWithTheTrainersForwardPass) {
  const Vectors vectors(source_path("tests/minnow/logits.safetensors"));
  const Recorded& expected = vectors.at("logits");
  const Recorded& recorded = vectors.at("tokens");
  const std::vector<Token> tokens(recorded.ints.begin(), recorded.ints.end());
  ASSERT_GT(tokens.size(), 256u);  // at least two rows of 128 tokens

  TinyOptions options;
  options.device = "cpu";
  options.threads = 2;
  options.load.max_step_tokens = 512;
  options.load.max_scored_rows = 512;
  TinyModel minnow = open_tiny(source_path("models/minnow"), options);
  SequenceState state = minnow.open();
  const auto logits = minnow.run(state, tokens, static_cast<int>(tokens.size()));

  ASSERT_EQ(logits.size(), tokens.size());
  const float scale = largest(expected);
  float worst = 0;
  for (std::size_t t = 0; t < logits.size(); ++t) {
    ASSERT_EQ(static_cast<std::int64_t>(logits[t].size()), expected.width());
    const float* theirs = expected.row(static_cast<std::int64_t>(t));
    for (std::size_t i = 0; i < logits[t].size(); ++i) {
      const float difference = std::fabs(logits[t][i] - theirs[i]);
      ASSERT_LE(difference, 1e-4f * scale) << "position " << t << ", token " << i;  // NaN fails too
      worst = std::max(worst, difference);
    }
  }
  std::printf("minnow: logits within %.2e of the largest\n", static_cast<double>(worst / scale));
}

}  // namespace
}  // namespace plumb
