#include "server/trace.h"

#include <gtest/gtest.h>

#include <set>

namespace plumb {
namespace {

constexpr const char* kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

// 00 01 02 ... over all calls.
RandomSource counting() {
  return [next = 0](std::span<std::byte> out) mutable {
    for (std::byte& byte : out) byte = static_cast<std::byte>(next++);
  };
}

HttpRequest request(HttpHeaders headers) {
  HttpRequest out;
  out.headers = std::move(headers);
  return out;
}

TEST(Trace, ATraceparentIsRead) {
  const auto parent = parse_traceparent(kParent);
  ASSERT_TRUE(parent);
  EXPECT_EQ(parent->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(parent->parent_id, "00f067aa0ba902b7");
  EXPECT_TRUE(parent->sampled);
  const auto sampled = [](const char* flags) {
    std::string text(kParent);
    text.replace(53, 2, flags);
    return parse_traceparent(text).value().sampled;
  };
  EXPECT_FALSE(sampled("00"));
  EXPECT_FALSE(sampled("fe"));
  EXPECT_TRUE(sampled("0b"));
}

TEST(Trace, AnythingElseIsNoTraceparent) {
  for (const char* text : {
           "",
           "00",
           "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
           "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
           " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
       }) {
    EXPECT_FALSE(parse_traceparent(text)) << text;
  }
}

TEST(Trace, GoesOnWithWhatTheClientSent) {
  const Trace trace =
      trace_of(request({{"x-request-id", "job.7_a-B"}, {"traceparent", kParent}}), counting());
  EXPECT_EQ(trace.request_id, "job.7_a-B");
  EXPECT_EQ(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(trace.parent_id, "00f067aa0ba902b7");
  EXPECT_EQ(trace.span_id, "0001020304050607");
  HttpHeaders headers;
  append_trace_headers(trace, headers);
  const HttpHeaders expected = {
      {"x-request-id", "job.7_a-B"},
      {"request-id", "job.7_a-B"},
      {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0001020304050607-01"},
  };
  EXPECT_EQ(headers, expected);
}

TEST(Trace, BeginsWhereTheClientSentNothing) {
  const Trace trace = trace_of(request({}), counting());
  EXPECT_EQ(trace.request_id, "req_000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(trace.trace_id, "101112131415161718191a1b1c1d1e1f");
  EXPECT_EQ(trace.span_id, "2021222324252627");
  EXPECT_EQ(trace.parent_id, "");
  EXPECT_FALSE(trace.sampled);
  HttpHeaders headers;
  append_trace_headers(trace, headers);
  EXPECT_TRUE(parse_traceparent(headers.back().second));
}

TEST(Trace, AnInsaneRequestIdIsReplaced) {
  for (const std::string& id :
       {std::string(), std::string(129, 'a'), std::string("a b"), std::string("a\r\nb"),
        std::string("a\"b"), std::string("\xc3\xa4"), std::string("a/b")}) {
    EXPECT_TRUE(trace_of(request({{"x-request-id", id}})).request_id.starts_with("req_")) << id;
  }
  const std::string longest(128, 'a');
  EXPECT_EQ(trace_of(request({{"x-request-id", longest}})).request_id, longest);
}

TEST(Trace, AHeaderThatIsThereTwiceSaysNothing) {
  const Trace trace = trace_of(request({{"x-request-id", "a"},
                                        {"x-request-id", "a"},
                                        {"traceparent", kParent},
                                        {"traceparent", kParent}}));
  EXPECT_TRUE(trace.request_id.starts_with("req_"));
  EXPECT_NE(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(trace.parent_id, "");
}

TEST(Trace, IdsAreNeverZero) {
  const Trace trace = trace_of(request({}), [](std::span<std::byte> out) {
    for (std::byte& byte : out) byte = std::byte{0};
  });
  EXPECT_EQ(trace.trace_id, "00000000000000000000000000000001");
  EXPECT_EQ(trace.span_id, "0000000000000001");
}

TEST(Trace, TheSystemsRandomIdsDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random_hex(16));
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(seen.begin()->size(), 32u);
  EXPECT_EQ(random_hex(0), "");
}

}  // namespace
}  // namespace plumb
