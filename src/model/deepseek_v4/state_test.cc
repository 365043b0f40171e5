#include "model/deepseek_v4/state.h"

#include <gtest/gtest.h>

namespace plumb::deepseek_v4 {
namespace {

double bytes_per_token(const char* config, const Numerics& numerics) {
  const auto built = builtin_config(config);
  EXPECT_TRUE(built);
  return map_state(*built, numerics, 16, false).layout.bytes_per_token();
}

// The published table (spec 3.6), rows of 584 and keys of 68 bytes: Flash 3514.25, Pro 5031.4375.
TEST(StateMap, PackedRowsTakeThePublishedBytesPerToken) {
  EXPECT_NEAR(bytes_per_token("v4-flash", Numerics::vendor()), 3514.25, 0.01 * 3514.25);
  EXPECT_NEAR(bytes_per_token("v4-pro", Numerics::vendor()), 5031.4375, 0.01 * 5031.4375);
  // Exactly so: (584 + 68) / 4 per sparse layer, 584 / 128 per heavy one.
  EXPECT_DOUBLE_EQ(bytes_per_token("v4-flash", Numerics::vendor()), 3514.25);
  EXPECT_DOUBLE_EQ(bytes_per_token("v4-pro", Numerics::vendor()), 5031.4375);
}

// The table's bfloat16 line, where cache simulation is off but all is rounded; fp32 is twice that.
TEST(StateMap, RowsAreOnlyPackedWhereTheNumericsSimulateIt) {
  Numerics rounded = Numerics::vendor();
  rounded.simulate_kv = rounded.simulate_index = false;
  EXPECT_DOUBLE_EQ(bytes_per_token("v4-flash", rounded), 6880);
  EXPECT_DOUBLE_EQ(bytes_per_token("v4-pro", rounded), 9848);
  EXPECT_DOUBLE_EQ(bytes_per_token("v4-flash", Numerics::plain()), 2 * 6880);
  Numerics keys_only = rounded;
  keys_only.simulate_index = true;
  EXPECT_DOUBLE_EQ(bytes_per_token("v4-flash", keys_only), 6880 - 21 * (256 - 68) / 4.0);
}

// Rings of fp32 rows: 127 + 16 window rows of 512 per layer, and the compressors' inputs.
TEST(StateMap, TheFixedPartIsWhatItsRingsHold) {
  const auto flash = builtin_config("v4-flash");
  ASSERT_TRUE(flash);
  const StateLayout layout = map_state(*flash, Numerics::vendor(), 16, false).layout;
  const std::size_t window = 43ul * (127 + 16) * 512 * 4;
  const std::size_t sparse = 21ul * (4 + 3 + 16) * (2048 + 512) * 4;
  const std::size_t heavy = 20ul * (127 + 16) * 1024 * 4;
  EXPECT_EQ(layout.tail_bytes(), window + sparse + heavy);
}

// States of the two forms are told apart though their numbers of bytes might agree.
TEST(StateMap, FingerprintsNameThePacking) {
  const auto tiny = builtin_config("tiny");
  ASSERT_TRUE(tiny);
  const std::string packed = map_state(*tiny, Numerics::vendor(), 16, false).layout.fingerprint();
  const std::string plain = map_state(*tiny, Numerics::plain(), 16, false).layout.fingerprint();
  EXPECT_NE(packed.find(":e4m3+"), std::string::npos) << packed;
  EXPECT_NE(packed.find(":e2m1"), std::string::npos) << packed;
  EXPECT_EQ(plain.find(":e"), std::string::npos) << plain;
}

}  // namespace
}  // namespace plumb::deepseek_v4
