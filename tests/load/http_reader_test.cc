#include "load/http_reader.h"

#include <gtest/gtest.h>

namespace plumb::load {
namespace {

using State = HttpReader::State;

constexpr std::string_view kChunked =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "5\r\nhello\r\nA;name=1\r\n, world!!!\r\n0\r\nTrailer: 1\r\n\r\n";

State read(std::string_view response, std::string& body, std::size_t piece = 1 << 20) {
  HttpReader reader;
  for (std::size_t at = 0; at < response.size(); at += piece)
    reader.push(response.substr(at, piece), body);
  return reader.state();
}

TEST(HttpReader, JoinsChunksHoweverTheyCome) {
  for (std::size_t piece = 1; piece <= kChunked.size(); ++piece) {
    std::string body;
    EXPECT_EQ(read(kChunked, body, piece), State::kDone) << piece;
    EXPECT_EQ(body, "hello, world!!!") << piece;
  }
}

TEST(HttpReader, KnowsStatusAndHeaders) {
  HttpReader reader;
  std::string body;
  reader.push(
      "HTTP/1.1 429 Too Many Requests\r\nRetry-After:  3 \r\nconnection: close\r\n"
      "Content-Length: 2\r\n\r\nno",
      body);
  EXPECT_EQ(reader.state(), State::kDone);
  EXPECT_EQ(reader.status(), 429);
  EXPECT_EQ(reader.header("retry-after"), "3");
  EXPECT_FALSE(reader.keep_alive());
  EXPECT_EQ(body, "no");
}

// What ends early is never done: that is how a cut reply is told from a whole one.
TEST(HttpReader, EveryShorterResponseIsNotDone) {
  for (std::size_t size = 0; size < kChunked.size(); ++size) {
    std::string body;
    const State state = read(kChunked.substr(0, size), body);
    EXPECT_TRUE(state == State::kHead || state == State::kBody) << size;
  }
}

TEST(HttpReader, RefusesWhatIsNotHttp) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string bad[] = {
      "HTTP/1.0 200 OK\r\n",
      "HTTP/1.1 2x0 OK\r\n",
      "HTTP/1.1 200 OK\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n",
      "HTTP/1.1 200 OK\r\n\r\n",                        // no end of the body
      "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",  // none either
      head + "zz\r\n",
      head + "2\r\nabc\r\n",              // longer than it says
      head + "0\r\n\r\nHTTP/1.1 200 OK",  // more after the end
      std::string(100000, 'x'),
  };
  for (const std::string& text : bad) {
    std::string body;
    EXPECT_EQ(read(text, body), State::kBroken) << text.substr(0, 100);
  }
}

}  // namespace
}  // namespace plumb::load
