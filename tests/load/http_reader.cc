#include "load/http_reader.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/strings.h"

namespace plumb::load {
namespace {

constexpr std::size_t kMaxLine = 64 << 10;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The whole text is one number.
std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc{} || at != end) return std::nullopt;
  return value;
}

std::string shown(std::string_view text) { return str("\"", text.substr(0, 80), "\""); }

}  // namespace

std::string_view HttpReader::header(std::string_view name) const {
  for (const auto& [key, value] : headers_) {
    if (key == name) return value;
  }
  return {};
}

void HttpReader::broken(std::string why) {
  state_ = State::kBroken;
  error_ = std::move(why);
}

HttpReader::State HttpReader::push(std::string_view bytes, std::string& body) {
  while (!bytes.empty() && state_ != State::kBroken) {
    if (state_ == State::kDone) {
      broken(str("After the response's end came ", shown(bytes), "."));
    } else if (!is_line()) {
      const std::size_t n = std::min<std::uint64_t>(left_, bytes.size());
      body.append(bytes.substr(0, n));
      bytes.remove_prefix(n);
      left_ -= n;
      if (left_ > 0) break;
      if (part_ == Part::kSized) state_ = State::kDone;
      part_ = Part::kChunkEnd;
    } else {
      const std::size_t end = bytes.find('\n');
      line_.append(bytes.substr(0, end));
      if (line_.size() > kMaxLine) broken("A line of the response is longer than 64 KiB.");
      if (end == bytes.npos) break;
      bytes.remove_prefix(end + 1);
      if (!line_.ends_with('\r')) {
        broken(str("The line ", shown(line_), " ends without a carriage return."));
        break;
      }
      line_.pop_back();
      line(std::exchange(line_, {}));
    }
  }
  return state_;
}

void HttpReader::line(std::string_view text) {
  switch (part_) {
    case Part::kStatus:
      return status_line(text);
    case Part::kHeaders:
      return text.empty() ? head_is_over() : header_line(text);
    case Part::kSize:
      return size_line(text);
    case Part::kChunkEnd:
      if (!text.empty()) return broken(str("A chunk is longer than its size: ", shown(text), "."));
      part_ = Part::kSize;
      return;
    case Part::kTrailer:
      if (text.empty()) state_ = State::kDone;
      return;
    case Part::kSized:
    case Part::kChunk:
      return;
  }
}

void HttpReader::status_line(std::string_view text) {
  const auto status = text.size() < 12 ? std::nullopt : number(text.substr(9, 3), 10);
  if (!text.starts_with("HTTP/1.1 ") || !status) {
    return broken(str("The status line is ", shown(text), "."));
  }
  status_ = static_cast<int>(*status);
  part_ = Part::kHeaders;
}

void HttpReader::header_line(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == 0 || colon == text.npos) return broken(str("A header is ", shown(text), "."));
  headers_.emplace_back(lower(text.substr(0, colon)), trimmed(text.substr(colon + 1)));
}

void HttpReader::head_is_over() {
  state_ = State::kBody;
  if (lower(header("transfer-encoding")) == "chunked") {
    part_ = Part::kSize;
    return;
  }
  const auto length = number(header("content-length"), 10);
  if (!length) return broken("The response has neither chunks nor a length.");
  part_ = Part::kSized;
  left_ = *length;
  if (left_ == 0) state_ = State::kDone;
}

void HttpReader::size_line(std::string_view text) {
  const auto size = number(trimmed(text.substr(0, text.find(';'))), 16);
  if (!size) return broken(str("A chunk's size is ", shown(text), "."));
  left_ = *size;
  part_ = left_ == 0 ? Part::kTrailer : Part::kChunk;
}

}  // namespace plumb::load
