// A body through a format's parse().
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "gateway/wire/wire.h"

namespace plumb::wire {

inline Parsed parsed_by(const Format& format, const std::string& body,
                        const Defaults& defaults = {}) {
  const auto json = parse_json(body, "body");
  EXPECT_TRUE(json) << body;
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
