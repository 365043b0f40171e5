// Server-sent events, the framing of every streamed reply.
#pragma once

#include <string>
#include <string_view>

namespace plumb::wire {

// `data` must be one line, as compact JSON is.
inline void append_event(std::string& out, std::string_view data) {
  out.append("data: ").append(data).append("\n\n");
}

inline void append_event(std::string& out, std::string_view name, std::string_view data) {
  out.append("event: ").append(name).append("\n");
  append_event(out, data);
}

// A comment: keeps a connection open, means nothing.
inline constexpr std::string_view kSseKeepAlive = ": keep-alive\n\n";

}  // namespace plumb::wire
