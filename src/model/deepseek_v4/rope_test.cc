#include "model/deepseek_v4/rope.h"

#include <gtest/gtest.h>

namespace plumb::deepseek_v4 {
namespace {

Config published() {
  Config c;
  c.rope_dim = 64;
  c.yarn = {16, 65536, 32, 1};
  return c;
}

// DeepSeek-V4 specification, section 2.3: theta 160000 with YaRN factor 16 over 65536 positions.
TEST(Rope, CompressedLayersUseYarnFrequencies) {
  const double expected[32] = {
      1, 0.687656022, 0.472870805, 0.325172456, 0.223606798, 0.153764561, 0.105737126,
      0.0727107717, 0.05, 0.0343828011, 0.0236435402, 0.0162586228, 0.0111803399, 0.00768822805,
      0.00528685632, 0.00363553858, 0.002265625, 0.00139680129, 0.000849689727, 0.000508081963,
      0.000296977778, 0.000168179989, 9.0867843e-05, 4.54442323e-05, 1.953125e-05, 5.37231267e-06,
      3.69430316e-06, 2.54040981e-06, 1.74692811e-06, 1.20128563e-06, 8.260713e-07, 5.68052904e-07};
  const std::vector<float> freq = rope_frequencies(published(), AttentionKind::kSparse);
  ASSERT_EQ(freq.size(), 32u);
  for (int i = 0; i < 32; ++i) EXPECT_NEAR(freq[i] / expected[i], 1.0, 3e-7) << i;
}

TEST(Rope, WindowLayersUseTheBaseThetaWithoutYarn) {
  const std::vector<float> freq = rope_frequencies(published(), AttentionKind::kWindow);
  EXPECT_EQ(freq[0], 1.0f);
  EXPECT_NEAR(freq[16], 0.01, 1e-9);
  EXPECT_NEAR(freq[31] / 0.000133352143, 1.0, 1e-6);
}

}  // namespace
}  // namespace plumb::deepseek_v4
