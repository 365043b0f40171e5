#include "server/trace.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/check.h"
#include "base/digest.h"
#include "base/strings.h"

namespace plumb {
namespace {

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool all_zero(std::string_view text) { return text.find_first_not_of('0') == text.npos; }

// A header that is there twice says nothing.
std::string_view only_header(const HttpRequest& request, std::string_view name) {
  const auto count = std::count_if(request.headers.begin(), request.headers.end(),
                                   [&](const auto& header) { return header.first == name; });
  return count == 1 ? request.header(name) : std::string_view();
}

// The ids of a trace are not zero.
std::string random_id(std::size_t bytes, const RandomSource& random) {
  std::string id = random_hex(bytes, random);
  if (all_zero(id)) id.back() = '1';
  return id;
}

}  // namespace

bool is_request_id(std::string_view text) {
  constexpr std::size_t kMost = 128;
  return is_name(text, "-_.", kMost);
}

void system_random(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    PLUMB_CHECK(got > 0);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

std::string random_hex(std::size_t bytes, const RandomSource& random) {
  std::vector<std::byte> drawn(bytes);
  random(drawn);
  return hex(drawn);
}

std::optional<TraceParent> parse_traceparent(std::string_view value) {
  // 00-<32 digits>-<16 digits>-<2 digits>
  if (value.size() != 55 || !value.starts_with("00-") || value[35] != '-' || value[52] != '-') {
    return std::nullopt;
  }
  const std::string_view trace = value.substr(3, 32), parent = value.substr(36, 16),
                         flags = value.substr(53);
  if (!is_lower_hex(trace) || !is_lower_hex(parent) || !is_lower_hex(flags)) return std::nullopt;
  if (all_zero(trace) || all_zero(parent)) return std::nullopt;
  constexpr std::string_view kOdd = "13579bdf";
  return TraceParent{std::string(trace), std::string(parent), kOdd.find(flags[1]) != kOdd.npos};
}

Trace trace_of(const HttpRequest& request, const RandomSource& random) {
  Trace trace;
  const std::string_view sent = only_header(request, "x-request-id");
  trace.request_id = is_request_id(sent) ? std::string(sent) : "req_" + random_hex(16, random);
  if (auto parent = parse_traceparent(only_header(request, "traceparent"))) {
    trace.trace_id = std::move(parent->trace_id);
    trace.parent_id = std::move(parent->parent_id);
    trace.sampled = parent->sampled;
  } else {
    trace.trace_id = random_id(16, random);
  }
  trace.span_id = random_id(8, random);
  return trace;
}

void append_trace_headers(const Trace& trace, HttpHeaders& headers) {
  headers.emplace_back("x-request-id", trace.request_id);
  headers.emplace_back("request-id", trace.request_id);
  headers.emplace_back("traceparent", "00-" + trace.trace_id + "-" + trace.span_id +
                                          (trace.sampled ? "-01" : "-00"));
}

}  // namespace plumb
