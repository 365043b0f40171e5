#include "server/answer_framing.h"

#include <gtest/gtest.h>

#include <string>

namespace plumb {
namespace {

constexpr std::time_t kNow = 784111777;  // the date of the RFC's example

std::string framed(AnswerFraming& framing, std::string body, bool last) {
  std::string before, after;
  EXPECT_TRUE(framing.frame(body.size(), last, before, after));
  return before + body + after;
}

TEST(AnswerFraming, WritesStatusDateAndHeaders) {
  AnswerFraming framing({.keep_alive = true});
  EXPECT_EQ(framing.begin({404, {{"X-A", "b"}}}, 3, kNow),
            "HTTP/1.1 404 Not Found\r\nServer: plumb\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "X-A: b\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(framed(framing, "abc", true), "abc");
  EXPECT_TRUE(framing.keep_alive());
}

TEST(AnswerFraming, AStatusWithoutAReasonIsWritten) {
  AnswerFraming framing({});
  EXPECT_TRUE(framing.begin({529, {}}, 0, kNow).starts_with("HTTP/1.1 529 \r\n"));
}

TEST(AnswerFraming, AHeaderCannotBeginAnother) {
  AnswerFraming framing({});
  const std::string text =
      framing.begin({200, {{"X\r\nY", std::string("a\r\nSet: b\0", 10)}}}, 0, kNow);
  EXPECT_NE(text.find("X  Y: a  Set: b \r\n"), text.npos) << text;
}

TEST(AnswerFraming, AnUnknownLengthGoesInChunks) {
  AnswerFraming framing({.keep_alive = true});
  const std::string head = framing.begin({}, -1, kNow);
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), head.npos);
  EXPECT_EQ(head.find("Connection"), head.npos);
  EXPECT_EQ(framed(framing, std::string(26, 'x'), false), "1a\r\n" + std::string(26, 'x') + "\r\n");
  EXPECT_EQ(framed(framing, "", false), "");
  EXPECT_EQ(framed(framing, "y", true), "1\r\ny\r\n0\r\n\r\n");
}

TEST(AnswerFraming, Http10GetsItUntilTheConnectionEnds) {
  AnswerFraming framing({.http_1_1 = false, .keep_alive = true});
  const std::string head = framing.begin({}, -1, kNow);
  EXPECT_EQ(head.find("Transfer-Encoding"), head.npos);
  EXPECT_NE(head.find("Connection: close\r\n"), head.npos);
  EXPECT_TRUE(framing.ends_with_connection());
  EXPECT_FALSE(framing.keep_alive());
  EXPECT_EQ(framed(framing, "abc", true), "abc");
}

TEST(AnswerFraming, Http10IsToldThatTheConnectionStays) {
  AnswerFraming framing({.http_1_1 = false, .keep_alive = true});
  EXPECT_NE(framing.begin({}, 1, kNow).find("Connection: keep-alive\r\n"), std::string::npos);
}

TEST(AnswerFraming, HeadHasTheHeadersOfTheBodyAndNoBody) {
  AnswerFraming framing({.head_only = true, .keep_alive = true});
  EXPECT_FALSE(framing.bodiless()) << "the head is still to come";
  EXPECT_NE(framing.begin({}, 5, kNow).find("Content-Length: 5\r\n"), std::string::npos);
  EXPECT_TRUE(framing.bodiless());
}

TEST(AnswerFraming, NoContentHasNoBodyAndNoLength) {
  AnswerFraming framing({.keep_alive = true});
  EXPECT_EQ(framing.begin({204, {}}, 0, kNow).find("Content-Length"), std::string::npos);
  EXPECT_TRUE(framing.bodiless());
}

TEST(AnswerFraming, ADeclaredLengthMustBeKept) {
  std::string before, after;
  AnswerFraming longer({});
  (void)longer.begin({}, 3, kNow);
  EXPECT_FALSE(longer.frame(4, false, before, after));
  AnswerFraming shorter({});
  (void)shorter.begin({}, 3, kNow);
  EXPECT_TRUE(shorter.frame(2, false, before, after));
  EXPECT_FALSE(shorter.frame(0, true, before, after));
}

}  // namespace
}  // namespace plumb
