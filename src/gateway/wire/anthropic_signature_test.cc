#include "gateway/wire/anthropic_signature.h"

#include <gtest/gtest.h>

#include <string>

namespace plumb::wire {
namespace {

TEST(AnthropicSignature, IsADigestOrHoldsTheText) {
  EXPECT_EQ(thinking_signature(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
  std::string text;
  for (int length = 0; length < 40; ++length) {
    EXPECT_EQ(sealed_thinking(seal_thinking(text)), text);
    EXPECT_EQ(sealed_thinking(thinking_signature(text)), "");
    text += length % 3 == 0 ? "é" : "x";
  }
  const std::string sealed = seal_thinking("some thought");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string other = sealed;
    other[i] = '!';
    EXPECT_EQ(sealed_thinking(other), "");
    EXPECT_NE(sealed_thinking(sealed.substr(0, i)), "some thought");
  }
  EXPECT_EQ(sealed_thinking(seal_thinking("\xff")), "");
  EXPECT_EQ(sealed_thinking("===="), "");
}

}  // namespace
}  // namespace plumb::wire
