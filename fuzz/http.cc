// Any bytes as what a client sends: requests or a refusal that is a sentence, within the limits,
// and the same requests however the bytes are cut. Their bodies go on to the JSON parser.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "base/random.h"
#include "base/utf8.h"
#include "server/request_reader.h"

namespace {

using plumb::HttpRequest;
using plumb::RequestReader;
using State = RequestReader::State;

constexpr std::size_t kMaxHead = 512, kMaxBody = 300, kSkipped = 16;
// Longest piece that is held back for more: a head, or the line before a chunk.
constexpr std::size_t kMaxKept = 8 << 10;

struct Read {
  std::vector<HttpRequest> requests;
  State state = State::kHead;
};

void check(const HttpRequest& request) {
  PLUMB_CHECK(!request.method.empty() && !request.path.empty());
  PLUMB_CHECK(plumb::is_valid_utf8(request.path));
  PLUMB_CHECK(request.path.find('\0') == request.path.npos);
  PLUMB_CHECK(request.body.size() <= kMaxBody);
  for (const auto& [name, value] : request.headers) {
    PLUMB_CHECK(!name.empty());
    PLUMB_CHECK(value.find_first_of("\r\n") == value.npos);
  }
}

// Requests to "/skip..." are refused by their head.
void advance(RequestReader& reader, Read& out) {
  if (reader.state() == State::kHeadDone) {
    const bool skip = reader.request().path.starts_with("/skip");
    if (!skip || !reader.skip_body(kSkipped)) reader.read_body(kMaxBody);
    return;
  }
  check(reader.request());
  out.requests.push_back(reader.request());
  reader.next();
}

// Pieces of up to `largest` bytes.
Read read(std::string_view bytes, std::size_t largest, std::uint64_t seed) {
  RequestReader reader(kMaxHead);
  Read out;
  for (std::uint64_t piece = 0; !bytes.empty(); ++piece) {
    const std::size_t size = std::min(bytes.size(), 1 + plumb::random_bits(seed, piece) % largest);
    reader.feed(bytes.substr(0, size));
    bytes.remove_prefix(size);
    while (reader.state() == State::kHeadDone || reader.state() == State::kDone) {
      advance(reader, out);
    }
    PLUMB_CHECK(reader.kept() <= kMaxKept);
  }
  out.state = reader.state();
  if (out.state == State::kRefused) {
    PLUMB_CHECK(reader.status() == 400 || reader.status() == 413 || reader.status() == 431);
    PLUMB_CHECK(reader.message().ends_with('.'));
  }
  return out;
}

void require_same(const Read& a, const Read& b) {
  PLUMB_CHECK(a.requests.size() == b.requests.size());
  for (std::size_t i = 0; i < a.requests.size(); ++i) {
    const HttpRequest &x = a.requests[i], &y = b.requests[i];
    PLUMB_CHECK(x.method == y.method && x.path == y.path && x.query == y.query);
    PLUMB_CHECK(x.headers == y.headers && x.body == y.body);
  }
  // A fault may be noticed at once or only with the end of its head; that is all that may differ.
  const bool refused = a.state == State::kRefused || b.state == State::kRefused;
  PLUMB_CHECK(refused || a.state == b.state);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Read whole = read(bytes, 1 << 30, 0);
  require_same(whole, read(bytes, 1, 0));
  require_same(whole, read(bytes, 2 + data[0] % 64, data[0]));
  for (const HttpRequest& request : whole.requests) {
    (void)plumb::parse_json(request.body, "body", {.max_depth = 16, .max_bytes = kMaxBody});
  }
  return 0;
}
