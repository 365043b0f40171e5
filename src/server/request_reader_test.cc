#include "server/request_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/strings.h"

namespace plumb {
namespace {

using State = RequestReader::State;

constexpr std::size_t kMaxHead = 1000;
constexpr std::size_t kMaxBody = 5000;

// What is known of one reader's work when all bytes were fed.
struct Read {
  std::vector<HttpRequest> requests;
  State state = State::kHead;
  int status = 0;
  std::string message;
};

// Feeds in pieces: `cut(left)` says how many bytes come next.
template <class Cut>
Read read(std::string_view bytes, Cut cut) {
  RequestReader reader(kMaxHead);
  Read out;
  while (!bytes.empty()) {
    const std::size_t size = std::min(std::max<std::size_t>(cut(bytes.size()), 1), bytes.size());
    reader.feed(bytes.substr(0, size));
    bytes.remove_prefix(size);
    while (reader.state() == State::kHeadDone || reader.state() == State::kDone) {
      if (reader.state() == State::kHeadDone) {
        reader.read_body(kMaxBody);
      } else {
        out.requests.push_back(reader.request());
        reader.next();
      }
    }
  }
  out.state = reader.state();
  if (out.state == State::kRefused) {
    out.status = reader.status();
    out.message = reader.message();
  }
  return out;
}

Read read_whole(std::string_view bytes) {
  return read(bytes, [](std::size_t left) { return left; });
}

int refusal(std::string_view bytes) {
  const Read whole = read_whole(bytes);
  const Read single = read(bytes, [](std::size_t) { return 1; });
  EXPECT_EQ(whole.status, single.status) << bytes;
  EXPECT_TRUE(whole.status == 0 || whole.message.ends_with('.')) << whole.message;
  return whole.status;
}

std::string get(std::string_view target, std::string_view headers = "") {
  return str("GET ", target, " HTTP/1.1\r\nHost: a\r\n", headers, "\r\n");
}

std::string post(std::string_view headers, std::string_view body) {
  return str("POST /p HTTP/1.1\r\nHost: a\r\n", headers, "\r\n", body);
}

const std::string kChunked = "Transfer-Encoding: chunked\r\n";

TEST(RequestReader, ReadsMethodPathQueryAndHeaders) {
  const Read got = read_whole(
      "POST /v1/a%20b%C3%A9?x=%31&y HTTP/1.1\r\nHost: a\r\nX-One:  1 \r\nx-ONE: 2\r\n"
      "Content-Length: 2\r\n\r\nok");
  ASSERT_EQ(got.requests.size(), 1u);
  const HttpRequest& request = got.requests[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/a b\u00e9");
  EXPECT_EQ(request.query, "x=%31&y");
  EXPECT_EQ(request.body, "ok");
  EXPECT_EQ(request.header("x-one"), "1");
  EXPECT_EQ(request.headers[2], (std::pair<std::string, std::string>("x-one", "2")));
}

TEST(RequestReader, ReadsTheFormsOfATarget) {
  const auto path = [](std::string_view target) {
    const Read got = read_whole(get(target));
    return got.requests.empty() ? str("refused ", got.status)
                                : str(got.requests[0].path, "|", got.requests[0].query);
  };
  EXPECT_EQ(path("/"), "/|");
  EXPECT_EQ(path("/?"), "/|");
  EXPECT_EQ(path("/a/../b"), "/a/../b|");
  EXPECT_EQ(path("http://host:1/a?b"), "/a|b");
  EXPECT_EQ(path("HTTPS://host"), "/|");
  EXPECT_EQ(path("http://host?b"), "/|b");
  EXPECT_EQ(path("*"), "*|");
  for (const char* wrong : {"a", "http:///a", "http://", "ftp://host/", "/a#b", "/a?b#c", "/%",
                            "/%4", "/%4g", "/%00", "/%ff", "/\xff", "?a"}) {
    EXPECT_EQ(path(wrong), "refused 400") << wrong;
  }
}

TEST(RequestReader, RefusesWhatIsNotHttp) {
  for (const char* wrong :
       {"\x16\x03\x01\x02\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n"}) {
    EXPECT_EQ(refusal(wrong), 400) << wrong;
  }
}

TEST(RequestReader, WantsExactlyOneHostSinceHttp11) {
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.0\r\n\r\n"), 0);
}

// Where two servers in a row disagree about a body's end, one reads a body as a request.
TEST(RequestReader, RefusesEveryDoubtAboutTheBodysEnd) {
  for (const char* wrong :
       {"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2, 3\r\n",
        "Content-Length: -2\r\n", "Content-Length: +2\r\n", "Content-Length: 2x\r\n",
        "Content-Length: \r\n", "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n", "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n", "Transfer-Encoding: \r\n",
        "Transfer-Encoding: xchunked\r\n"}) {
    EXPECT_EQ(refusal(post(wrong, "2\r\nab\r\n0\r\n\r\n")), 400) << wrong;
  }
  EXPECT_EQ(refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(refusal(post("Content-Length: 2\r\nContent-Length: 2\r\n", "ab")), 0);
}

TEST(RequestReader, ReadsChunksWithExtensionsAndTrailers) {
  const Read got = read_whole(
      post(kChunked,
           "3\r\nabc\r\n00a;x=\"y;\\\"z\"\r\n0123456789\r\n0\r\nX-Late: 1\r\n\r\n" + get("/")));
  ASSERT_EQ(got.requests.size(), 2u);
  EXPECT_EQ(got.requests[0].body, "abc0123456789");
  EXPECT_EQ(got.requests[0].header("x-late"), "") << "trailers are not headers";
  EXPECT_EQ(got.requests[1].path, "/");
}

TEST(RequestReader, RefusesMalformedChunks) {
  for (const char* wrong : {"x\r\n", "-1\r\n", "\r\n", "3\r\nabcd\r\n", "3 3\r\nabc\r\n",
                            "10000000000000000\r\n", "0x3\r\nabc\r\n", "3\nabc\n"}) {
    const int status = refusal(post(kChunked, str(wrong, "0\r\n\r\n")));
    EXPECT_TRUE(status == 400 || status == 413) << wrong << " " << status;
  }
  EXPECT_EQ(refusal(post(kChunked, "3;" + std::string(20000, 'a'))), 400);
  EXPECT_EQ(refusal(post(kChunked, "0\r\n" + std::string(20000, 'a'))), 400);
}

TEST(RequestReader, LimitsTheHeadWhateverTheCut) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const auto head = [&](std::size_t size) {
    return start + std::string(size - start.size() - 4, 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(refusal(head(kMaxHead)), 0);
  EXPECT_EQ(refusal(head(kMaxHead + 1)), 431);
  EXPECT_EQ(refusal(head(kMaxHead * 20)), 431);
  EXPECT_EQ(refusal("GET /" + std::string(kMaxHead, 'x')), 431);
  // Many short lines, each read at its end: every piece is small, the sum is not.
  std::string lines = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 100; ++i) lines += "X: 0123456789\r\n";
  const Read by_line = read(lines, [&](std::size_t left) {
    return lines.find('\n', lines.size() - left) + 1 - (lines.size() - left);
  });
  EXPECT_EQ(by_line.status, 431);
}

TEST(RequestReader, RefusesALongBodyAsSoonAsItIsKnown) {
  EXPECT_EQ(refusal(post("Content-Length: 5000\r\n", std::string(5000, 'x'))), 0);
  EXPECT_EQ(refusal(post("Content-Length: 5001\r\n", "")), 413);
  EXPECT_EQ(refusal(post(kChunked, "1388\r\n")), 0);
  EXPECT_EQ(refusal(post(kChunked, "1389\r\n")), 413);
  EXPECT_EQ(refusal(post(kChunked, "1388\r\n" + std::string(5000, 'x') + "\r\n1\r\n")), 413);
}

TEST(RequestReader, TakesMemoryForWhatArrivedOnly) {
  RequestReader reader(kMaxHead);
  reader.feed(post("Content-Length: 1000000000\r\n", "x"));
  reader.read_body(std::size_t{1} << 40);
  EXPECT_EQ(reader.state(), State::kBody);
  EXPECT_LT(reader.request().body.capacity(), 1000u);
  reader.feed(std::string(100000, 'y'));
  EXPECT_LT(reader.request().body.capacity(), 300000u);
}

TEST(RequestReader, ALargeBodyEndsUpInItsOwnSize) {
  RequestReader reader(kMaxHead);
  constexpr std::size_t kSize = 3000001;
  reader.feed(post(str("Content-Length: ", kSize, "\r\n"), ""));
  reader.read_body(kSize);
  while (reader.state() == State::kBody) {
    reader.feed(std::string(std::min<std::size_t>(10000, kSize - reader.body_bytes()), 'z'));
  }
  EXPECT_EQ(reader.request().body.size(), kSize);
  EXPECT_LT(reader.request().body.capacity(), kSize + 100);
}

TEST(RequestReader, SkipsShortBodiesWithoutKeepingThem) {
  RequestReader reader(kMaxHead);
  reader.feed(post("Content-Length: 10\r\n", "01234"));
  EXPECT_FALSE(reader.skip_body(9));
  EXPECT_EQ(reader.state(), State::kHeadDone);
  EXPECT_TRUE(reader.skip_body(10));
  EXPECT_EQ(reader.state(), State::kBody);
  reader.feed("56789" + get("/next"));
  ASSERT_EQ(reader.state(), State::kDone);
  EXPECT_EQ(reader.request().body, "");
  reader.next();
  EXPECT_EQ(reader.request().path, "/next");

  RequestReader chunked(kMaxHead);
  chunked.feed(post(kChunked, ""));
  EXPECT_FALSE(chunked.skip_body(1000)) << "nobody knows how long it is";
}

TEST(RequestReader, KnowsWhetherTheConnectionGoesOn) {
  const auto goes_on = [](std::string_view version, std::string_view headers) {
    RequestReader reader(kMaxHead);
    reader.feed(str("GET / HTTP/", version, "\r\nHost: a\r\n", headers, "\r\n"));
    EXPECT_EQ(reader.state(), State::kHeadDone);
    return reader.keep_alive();
  };
  EXPECT_TRUE(goes_on("1.1", ""));
  EXPECT_FALSE(goes_on("1.1", "Connection: x, Close\r\n"));
  EXPECT_FALSE(goes_on("1.0", ""));
  EXPECT_TRUE(goes_on("1.0", "Connection: keep-alive\r\n"));
}

TEST(RequestReader, IgnoresEmptyLinesBeforeARequest) {
  EXPECT_EQ(read_whole("\r\n\r\n" + get("/a")).requests.size(), 1u);
  RequestReader reader(kMaxHead);
  reader.feed("\r\n");
  EXPECT_FALSE(reader.started());
  reader.feed("G");
  EXPECT_TRUE(reader.started());
}

TEST(RequestReader, AfterStopEverythingIsThrownAway) {
  RequestReader reader(kMaxHead);
  reader.feed(post("Content-Length: 100\r\n", "abc"));
  reader.read_body(100);
  reader.stop();
  reader.feed(std::string(100000, 'x'));
  EXPECT_EQ(reader.state(), State::kRefused);
  EXPECT_EQ(reader.kept(), 0u);
}

// The claim of the class: the cut does not matter.
TEST(RequestReader, ReadsTheSameFromEveryCut) {
  std::string bytes;
  for (int i = 0; i < 3; ++i) {
    bytes += get(str("/", i), "X: y\r\n");
    bytes += post("Content-Length: 11\r\n", "hello\r\n\r\nhi");
    bytes += post(kChunked,
                  "5;a=b\r\n01234\r\n1f\r\n0123456789012345678901234567890\r\n0\r\nT: 1\r\n\r\n");
    bytes += post(kChunked, "0\r\n\r\n");
    bytes += "\r\n";
  }
  const Read whole = read_whole(bytes);
  ASSERT_EQ(whole.requests.size(), 12u);
  const auto same = [&](const Read& other) {
    EXPECT_EQ(other.state, whole.state) << other.message;
    ASSERT_EQ(other.requests.size(), whole.requests.size());
    for (std::size_t i = 0; i < whole.requests.size(); ++i) {
      EXPECT_EQ(other.requests[i].path, whole.requests[i].path);
      EXPECT_EQ(other.requests[i].headers, whole.requests[i].headers);
      EXPECT_EQ(other.requests[i].body, whole.requests[i].body);
    }
  };
  for (std::size_t at = 1; at < bytes.size(); ++at) {
    same(read(bytes, [&](std::size_t left) { return left == bytes.size() ? at : left; }));
  }
  same(read(bytes, [](std::size_t) { return 1; }));
  std::uint64_t draws = 0;
  for (int i = 0; i < 200; ++i) {
    same(read(bytes, [&](std::size_t) { return 1 + random_bits(7, draws++) % 40; }));
  }
}

}  // namespace
}  // namespace plumb
