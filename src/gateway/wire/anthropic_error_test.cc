#include "gateway/wire/anthropic_error.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace plumb::wire {
namespace {

TEST(AnthropicError, HasATypeForEveryStatus) {
  const std::pair<int, const char*> cases[] = {{400, "invalid_request_error"},
                                               {401, "authentication_error"},
                                               {402, "billing_error"},
                                               {403, "permission_error"},
                                               {404, "not_found_error"},
                                               {405, "invalid_request_error"},
                                               {408, "timeout_error"},
                                               {409, "conflict_error"},
                                               {413, "request_too_large"},
                                               {422, "invalid_request_error"},
                                               {429, "rate_limit_error"},
                                               {499, "api_error"},
                                               {500, "api_error"},
                                               {502, "api_error"},
                                               {503, "overloaded_error"},
                                               {504, "timeout_error"},
                                               {529, "overloaded_error"}};
  for (const auto& [status, type] : cases) {
    const std::string body = anthropic_error({status, "No \"such\".", "", "", {}}, "req_1");
    EXPECT_EQ(body, std::string(R"({"type":"error","error":{"type":")") + type +
                        R"(","message":"No \"such\"."},"request_id":"req_1"})");
  }
  EXPECT_EQ(anthropic_error({400, "No.", "", "", {}}, ""),
            R"({"type":"error","error":{"type":"invalid_request_error","message":"No."}})");
}

}  // namespace
}  // namespace plumb::wire
