// Rounding recipes bit for bit against vectors that were not made with this code
// (tests/golden/README.md, "rounding").
#include <bit>
#include <cmath>

#include "device/kernels.h"
#include "golden_vectors.h"
#include "tensor/number.h"

namespace plumb {
namespace {

class Rounding : public testing::TestWithParam<std::string> {
 protected:
  Rounding() : vectors_(source_path("tests/golden/rounding.safetensors")) {
    device_ = std::move(*open_device({GetParam(), "auto", 1}));
  }
  const Recorded& at(const std::string& name) const { return vectors_.at(name); }

  static void expect_bits(const std::vector<float>& ours, const std::vector<float>& theirs,
                          const std::string& what) {
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      if (std::isnan(theirs[i])) {
        EXPECT_TRUE(std::isnan(ours[i])) << what << " " << i;
      } else {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(ours[i]), std::bit_cast<std::uint32_t>(theirs[i]))
            << what << " " << i << ": " << ours[i] << ", expected " << theirs[i];
      }
    }
  }

  void quantise(const std::string& name, FakeQuantArgs::Kind kind, int block) {
    const Recorded& input = at(name + ".input");
    const int rows = static_cast<int>(input.shape[0]), cols = static_cast<int>(input.shape[1]);
    std::vector<float> out(input.floats.size());
    FakeQuantArgs args;
    args.x = Mat<const float>::dense(input.floats.data(), rows, cols);
    args.kind = kind;
    args.cols = cols;
    args.block = block;
    args.out = Mat<float>::dense(out.data(), rows, cols);
    device_->kernels().fake_quant(args);
    for (float& v : out) v = round_to_bf16(v);
    expect_bits(out, at(name + ".value").floats, name);
  }

  Vectors vectors_;
  std::unique_ptr<Device> device_;
};

TEST_P(Rounding, E4m3Per128) { quantise("e4m3_128", FakeQuantArgs::Kind::kE4M3, 128); }
TEST_P(Rounding, E4m3Per64) { quantise("e4m3_64", FakeQuantArgs::Kind::kE4M3, 64); }
TEST_P(Rounding, E2m1Per32WithTiesToTheEvenCode) { quantise("e2m1_32", FakeQuantArgs::Kind::kE2M1, 32); }

TEST_P(Rounding, HadamardInNaturalOrder) {
  const Recorded& input = at("hadamard_128.input");
  std::vector<float> x = input.floats;
  device_->kernels().hadamard({Mat<float>::dense(x.data(), static_cast<int>(input.shape[0]), 128), 128, true});
  expect_bits(x, at("hadamard_128.value").floats, "hadamard");
}

TEST_P(Rounding, EveryCodeOfTheEightBitFormats) {
  std::vector<float> e4m3(256), e8m0(256);
  for (int code = 0; code < 256; ++code) {
    e4m3[code] = e4m3_to_float(static_cast<std::uint8_t>(code));
    e8m0[code] = e8m0_to_float(static_cast<std::uint8_t>(code));
  }
  expect_bits(e4m3, at("e4m3.decode").floats, "e4m3");
  expect_bits(e8m0, at("e8m0.decode").floats, "e8m0");
}

TEST_P(Rounding, Bfloat16NearestTiesToEven) {
  std::vector<float> out = at("bf16.input").floats;
  for (float& v : out) v = round_to_bf16(v);
  expect_bits(out, at("bf16.value").floats, "bf16");
}

INSTANTIATE_TEST_SUITE_P(Devices, Rounding, testing::Values("ref", "cpu"));

}  // namespace
}  // namespace plumb
