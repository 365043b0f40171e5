// Names by which one request is found again: its id, and its place in a W3C trace.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/http.h"

namespace plumb {

// Fills the span. Thread-safe; tests give their own.
using RandomSource = std::function<void(std::span<std::byte>)>;
// From the operating system's generator.
void system_random(std::span<std::byte> out);
// Lower-case hexadecimal digits of so many random bytes.
std::string random_hex(std::size_t bytes, const RandomSource& random = system_random);

// The header "traceparent", version 00.
struct TraceParent {
  std::string trace_id;   // 32 lower-case hexadecimal digits, not all zero
  std::string parent_id;  // 16 of them, not all zero
  bool sampled = false;
};
// nullopt: not exactly what version 00 says.
std::optional<TraceParent> parse_traceparent(std::string_view value);

// 1 to 128 letters, digits, '-', '_' and '.'.
bool is_request_id(std::string_view text);

struct Trace {
  std::string request_id;  // the client's "x-request-id" if it is sane, else "req_" and 32 digits
  std::string trace_id;    // the client's, or a new one
  std::string span_id;     // of this request
  std::string parent_id;   // the client's span; empty: none
  bool sampled = false;
};
Trace trace_of(const HttpRequest& request, const RandomSource& random = system_random);

// x-request-id, request-id and traceparent, for every answer.
void append_trace_headers(const Trace& trace, HttpHeaders& headers);

}  // namespace plumb
