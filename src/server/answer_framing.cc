#include "server/answer_framing.h"

#include <array>
#include <string_view>

#include "base/strings.h"

namespace plumb {
namespace {

struct Reason {
  int status;
  std::string_view text;
};
constexpr Reason kReasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

// Empty where there is none: a client may not look at it anyway.
std::string_view reason(int status) {
  for (const Reason& entry : kReasons) {
    if (entry.status == status) return entry.text;
  }
  return {};
}

// "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale.
std::string http_date(std::time_t now) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm t{};
  ::gmtime_r(&now, &t);
  const auto two = [](int value) { return str(value / 10, value % 10); };
  return str(kDays.at(static_cast<std::size_t>(t.tm_wday)), ", ", two(t.tm_mday), " ",
             kMonths.at(static_cast<std::size_t>(t.tm_mon)), " ", 1900 + t.tm_year, " ",
             two(t.tm_hour), ":", two(t.tm_min), ":", two(t.tm_sec), " GMT");
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  const std::size_t from = out.size();
  out.append(name).append(": ").append(value);
  for (std::size_t i = from; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
  }
  out += "\r\n";
}

std::string hex(std::size_t value) {
  std::string out;
  do {
    out.insert(out.begin(), "0123456789abcdef"[value % 16]);
    value /= 16;
  } while (value > 0);
  return out;
}

}  // namespace

std::string AnswerFraming::begin(const HttpHead& head, std::int64_t length, std::time_t now) {
  begun_ = true;
  const bool never_body = head.status == 204 || head.status == 304;
  if (never_body) {
    body_ = Body::kNone;
  } else if (length >= 0) {
    body_ = Body::kLength;
  } else {
    body_ = request_.http_1_1 ? Body::kChunks : Body::kToEnd;
  }
  keep_alive_ = request_.keep_alive && body_ != Body::kToEnd;
  left_ = length >= 0 ? static_cast<std::uint64_t>(length) : 0;

  std::string out = str("HTTP/1.1 ", head.status, " ", reason(head.status), "\r\n");
  append_header(out, "Server", "plumb");
  append_header(out, "Date", http_date(now));
  for (const auto& [name, value] : head.headers) append_header(out, name, value);
  if (body_ == Body::kLength) append_header(out, "Content-Length", to_text(length));
  if (body_ == Body::kChunks) append_header(out, "Transfer-Encoding", "chunked");
  if (!keep_alive_) append_header(out, "Connection", "close");
  if (keep_alive_ && !request_.http_1_1) append_header(out, "Connection", "keep-alive");
  out += "\r\n";
  if (request_.head_only) body_ = Body::kNone;
  return out;
}

bool AnswerFraming::frame(std::size_t size, bool last, std::string& before, std::string& after) {
  before.clear();
  after.clear();
  if (body_ == Body::kLength) {
    if (size > left_) return false;
    left_ -= size;
    return !last || left_ == 0;
  }
  if (body_ == Body::kChunks) {
    if (size > 0) {
      before = hex(size) + "\r\n";
      after = "\r\n";
    }
    if (last) after += "0\r\n\r\n";
  }
  return true;
}

}  // namespace plumb
