#include "base/digest.h"

#include <gtest/gtest.h>

namespace plumb {
namespace {

// The examples of FIPS 180-2.
TEST(Sha256, MatchesThePublishedExamples) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesEqualTheWholeAndFinishStartsAfresh) {
  Sha256 hash;
  for (int round = 0; round < 2; ++round) {
    for (const char* piece : {"a", "", "b", "c"}) hash.update(piece);
    EXPECT_EQ(hash.finish(), sha256("abc"));
  }
}

}  // namespace
}  // namespace plumb
