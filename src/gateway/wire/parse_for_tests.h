// Bodies of requests, and what a format's parse() makes of them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "gateway/wire/wire.h"

namespace plumb::wire {

// A chat request with these fields beside its one message.
inline std::string asking(const std::string& fields) {
  return R"({"messages": [{"role": "user", "content": "Hi"}])" +
         (fields.empty() ? "}" : ", " + fields + "}");
}

inline Parsed parsed_by(const Format& format, const std::string& body,
                        const Defaults& defaults = {}) {
  const auto json = parse_json(body, "body");
  if (!json) {
    ADD_FAILURE() << body << " is not JSON: " << json.error().message;
    return Refusal{};
  }
  return format.parse(*json, defaults);
}

inline Call accepted(const Format& format, const std::string& body, const Defaults& defaults = {}) {
  Parsed parsed = parsed_by(format, body, defaults);
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
    ADD_FAILURE() << body << " was refused: " << refusal->message;
    return {};
  }
  return std::get<Call>(std::move(parsed));
}

inline Refusal refused(const Format& format, const std::string& body) {
  Parsed parsed = parsed_by(format, body);
  if (std::holds_alternative<Call>(parsed)) {
    ADD_FAILURE() << body << " was accepted";
    return {};
  }
  return std::get<Refusal>(std::move(parsed));
}

}  // namespace plumb::wire
