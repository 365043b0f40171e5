#include "server/request_reader.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "base/utf8.h"

namespace plumb {
namespace {

namespace http = boost::beast::http;
using boost::beast::iequals;
using boost::beast::string_view;
using boost::system::error_code;

// Longest line that announces a chunk, and longest trailer: nobody needs either.
constexpr std::size_t kMaxChunkOverhead = 8 << 10;

std::string_view text_of(string_view text) { return {text.data(), text.size()}; }

// "/path?query", "http://host/path?query" (what proxies are sent) or "*" (of OPTIONS). False: the
// target is none of these.
bool read_target(std::string_view target, const std::string& method, HttpRequest& out) {
  if (method == "CONNECT" || target == "*") {  // a host and port: nothing to decode
    out.path = target;
    return target.find('?') == target.npos;
  }
  if (!target.starts_with('/')) {
    const std::size_t scheme = target.find("://");
    const std::string name = ascii_lower(target.substr(0, std::min(scheme, target.size())));
    if (name != "http" && name != "https") return false;
    const std::size_t rest = target.find_first_of("/?", scheme + 3);
    if (rest == scheme + 3 || scheme + 3 == target.size()) return false;  // no host
    target.remove_prefix(std::min(rest, target.size()));
  }
  const std::size_t mark = std::min(target.find('?'), target.size());
  out.query = target.substr(std::min(mark + 1, target.size()));
  const std::string_view path = target.substr(0, mark);
  if (path.find('#') != path.npos || out.query.find('#') != std::string::npos) return false;
  if (!decode_path(path, out.path)) return false;
  if (out.path.empty()) out.path = "/";
  return true;
}

// What a sentence about the parser's error says.
std::string describe(const error_code& error) {
  if (error == http::error::bad_method) return "The method of the request line is not a word.";
  if (error == http::error::bad_target) {
    return "The target of the request line is empty or holds a control character.";
  }
  if (error == http::error::bad_version) return "The request line does not end in HTTP/1.0 or 1.1.";
  if (error == http::error::bad_field) return "A header's name is not a word before a colon.";
  if (error == http::error::bad_value) {
    return "A header's value holds a control character, or is no list where one is expected.";
  }
  if (error == http::error::bad_line_ending) {
    return "A line of the request ends in a lone carriage return.";
  }
  if (error == http::error::bad_content_length || error == http::error::multiple_content_length) {
    return "Content-Length is not one decimal number, or stands beside Transfer-Encoding.";
  }
  if (error == http::error::bad_transfer_encoding) {
    return "Transfer-Encoding is repeated or stands beside Content-Length.";
  }
  if (error == http::error::bad_chunk || error == http::error::bad_chunk_extension) {
    return "A chunk of the body does not begin with its size in hexadecimal digits on a line.";
  }
  return str("The request is malformed: ", error.message(), ".");
}

}  // namespace

bool decode_path(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return is_valid_utf8(out);
}

// Beast walks the grammar and calls back; what is strange about its limits and its leniency is
// handled here and in the owner. A callback that has refused sets an error so that Beast stops.
class RequestReader::Parser final : public http::basic_parser<true> {
 public:
  explicit Parser(RequestReader& owner) : owner_(owner) {
    header_limit(~std::uint32_t{0});  // the owner counts: Beast's count begins anew with each put()
    body_limit(boost::none);          // the owner counts what it stores
  }

  int hosts() const { return hosts_; }
  bool has_transfer_encoding() const { return has_transfer_encoding_; }

 private:
  void stop(error_code& error) { error = http::error::end_of_stream; }

  void refuse(std::string message, error_code& error) {
    owner_.refuse(400, std::move(message));
    stop(error);
  }

  void on_request_impl(http::verb, string_view method, string_view target, int version,
                       error_code& error) override {
    owner_.http_1_1_ = version == 11;
    owner_.request_.method = text_of(method);
    if (!read_target(text_of(target), owner_.request_.method, owner_.request_)) {
      refuse("The target of the request line is not a path, or not percent-encoded UTF-8.", error);
    }
  }

  void on_field_impl(http::field field, string_view name, string_view value,
                     error_code& error) override {
    if (in_body_) return;  // trailers change nothing
    if (field == http::field::host) ++hosts_;
    if (field == http::field::transfer_encoding) {
      has_transfer_encoding_ = true;
      // Beast takes any other list for "no body", and the body for the next request.
      if (!iequals(value, "chunked")) {
        return refuse(str("Transfer-Encoding is \"", text_of(value), "\", expected \"chunked\"."),
                      error);
      }
    }
    if (field == http::field::expect && iequals(value, "100-continue")) {
      owner_.expects_continue_ = true;
    }
    owner_.request_.headers.emplace_back(ascii_lower(text_of(name)), text_of(value));
  }

  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {
    in_body_ = true;
  }
  std::size_t on_body_impl(string_view bytes, error_code&) override {
    owner_.store_body(text_of(bytes));
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t size, string_view, error_code& error) override {
    if (size > owner_.max_body_ - owner_.body_bytes_) {
      owner_.refuse(413, str("The body is longer than ", bytes_text(owner_.max_body_), "."));
      stop(error);
    }
  }
  std::size_t on_chunk_body_impl(std::uint64_t, string_view bytes, error_code&) override {
    owner_.store_body(text_of(bytes));
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}
  void on_response_impl(int, string_view, int, error_code&) override {}

  RequestReader& owner_;
  int hosts_ = 0;
  bool has_transfer_encoding_ = false;
  bool in_body_ = false;
};

RequestReader::RequestReader(std::size_t max_head)
    : max_head_(max_head), parser_(std::make_unique<Parser>(*this)) {}

RequestReader::~RequestReader() = default;

void RequestReader::feed(std::string_view bytes) {
  if (kept_.empty()) {  // the usual case: a body is not copied twice
    const std::size_t used = run(bytes);
    if (state_ != State::kRefused) kept_ = bytes.substr(used);
  } else {
    kept_ += bytes;
    const std::size_t used = run(kept_);
    kept_.erase(0, used);
  }
  if (state_ == State::kRefused) kept_.clear();
}

// Returns how many bytes were used up; the rest is to be presented again, with more behind it.
std::size_t RequestReader::run(std::string_view bytes) {
  if (state_ == State::kHead) return run_head(bytes);
  if (state_ == State::kBody) return run_body(bytes);
  return 0;
}

std::size_t RequestReader::run_head(std::string_view bytes) {
  std::size_t used = 0;
  // Empty lines before a request are no part of it (some clients send one after a body).
  while (head_bytes_ == 0 && bytes.substr(used).starts_with("\r\n")) used += 2;
  bytes.remove_prefix(used);
  if (bytes.empty() || (head_bytes_ == 0 && bytes == "\r")) return used;
  // The parser sees max_head_ bytes at most, so that the verdict does not depend on the cut.
  const std::string_view seen = bytes.substr(0, max_head_ - head_bytes_);
  error_code error;
  const std::size_t taken = parser_->put(boost::asio::buffer(seen.data(), seen.size()), error);
  head_bytes_ += taken;
  if (state_ == State::kRefused) return used + taken;
  if (!error && parser_->is_header_done()) {
    finish_head();
  } else if (error && error != http::error::need_more) {
    refuse(400, describe(error));
  } else if (seen.size() < bytes.size() || head_bytes_ + (seen.size() - taken) >= max_head_) {
    refuse(431, str("The request line and headers are longer than ", bytes_text(max_head_), "."));
  }
  return used + taken;
}

void RequestReader::finish_head() {
  keep_alive_ = parser_->keep_alive();
  if (http_1_1_ && parser_->hosts() != 1) {
    return refuse(400, str("The request has ", parser_->hosts(), " Host headers, expected one."));
  }
  if (!http_1_1_ && parser_->has_transfer_encoding()) {
    return refuse(400, "Transfer-Encoding does not exist in HTTP/1.0.");
  }
  state_ = State::kHeadDone;
}

bool RequestReader::has_body() const { return !parser_->is_done(); }

void RequestReader::read_body(std::size_t max_body) {
  PLUMB_CHECK(state_ == State::kHeadDone);
  const auto length = parser_->content_length();
  if (length && *length > max_body) {
    return refuse(413, str("The body is ", *length, " bytes long, at most ", max_body,
                           " are accepted here."));
  }
  begin_body(max_body, true);
}

bool RequestReader::skip_body(std::size_t most) {
  PLUMB_CHECK(state_ == State::kHeadDone);
  const auto length = parser_->content_length();
  if (has_body() && (!length || *length > most)) return false;
  begin_body(most, false);
  return true;
}

void RequestReader::begin_body(std::size_t max_body, bool store) {
  max_body_ = max_body;
  store_body_ = store;
  if (parser_->is_done()) {
    state_ = State::kDone;
    return;
  }
  state_ = State::kBody;
  parser_->eager(true);
  const std::string bytes = std::exchange(kept_, {});
  feed(bytes);
}

std::size_t RequestReader::run_body(std::string_view bytes) {
  // At least this much ends every body in chunks. Beast asserts that it has so much when it comes
  // back to a last chunk.
  constexpr std::size_t kShortestEnd = std::string_view("0\r\n\r\n").size();
  if (bytes.empty() || (parser_->chunked() && bytes.size() < kShortestEnd)) return 0;
  error_code error;
  const std::size_t used = parser_->put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (state_ == State::kRefused) return used;
  if (error && error != http::error::need_more) {
    refuse(400, describe(error));
  } else if (parser_->is_done()) {
    state_ = State::kDone;
  } else if (bytes.size() - used > kMaxChunkOverhead) {
    refuse(400,
           str("The line before a chunk of the body, or what follows the last chunk, is longer "
               "than ",
               bytes_text(kMaxChunkOverhead), "."));
  }
  return used;
}

void RequestReader::store_body(std::string_view bytes) {
  body_bytes_ += bytes.size();
  if (!store_body_) return;
  std::string& body = request_.body;
  const std::size_t needed = body.size() + bytes.size();
  if (needed > body.capacity()) {
    // Doubles. When that comes to half of a declared length, the length is taken at once: a large
    // body ends up in just its own size, and its last copy is of a half at most.
    std::size_t room = std::max(needed, 2 * body.capacity());
    const auto length = parser_->content_length();
    if (length && room > *length / 2) room = static_cast<std::size_t>(*length);
    std::string larger;  // a reserve() of the old one would double it whatever is asked
    larger.reserve(room);
    larger += body;
    body.swap(larger);
  }
  body += bytes;
}

void RequestReader::next() {
  PLUMB_CHECK(state_ == State::kDone);
  parser_ = std::make_unique<Parser>(*this);
  request_ = HttpRequest();
  state_ = State::kHead;
  head_bytes_ = 0;
  body_bytes_ = 0;
  http_1_1_ = true;
  keep_alive_ = expects_continue_ = false;
  const std::string bytes = std::exchange(kept_, {});
  feed(bytes);
}

void RequestReader::stop() {
  state_ = State::kRefused;
  kept_.clear();
  request_.body = std::string();
}

void RequestReader::refuse(int status, std::string message) {
  status_ = status;
  message_ = std::move(message);
  state_ = State::kRefused;
  keep_alive_ = false;
}

}  // namespace plumb
