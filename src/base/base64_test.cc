#include "base/base64.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace plumb {
namespace {

TEST(Base64, TheExamplesOfTheStandard) {
  const std::pair<const char*, const char*> examples[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : examples) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), bytes);
  }
}

TEST(Base64, AnyBytesComeBack) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    std::string bytes;
    for (std::uint64_t i = 0; i < seed % 70; ++i)
      bytes += static_cast<char>(random_bits(seed, i) & 255);
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
  }
}

TEST(Base64, WhatNoEncoderWritesIsRefused) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm8=Zm8=", "Z===", "====", "Zm 9",
                           "Zm9v\n", "Zm-_", "=m9v", "Z=9v", "\xff\xff\xff\xff"}) {
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace plumb
