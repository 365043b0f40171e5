#include "gateway/wire/openai_error.h"

#include <gtest/gtest.h>

namespace plumb::wire {
namespace {

TEST(OpenAiError, HasAllFourKeysNullWhereThereIsNothingToSay) {
  EXPECT_EQ(
      openai_error({400, "n is 0.", "n", "", std::nullopt}, "req_1"),
      R"({"error":{"message":"n is 0.","type":"invalid_request_error","param":"n","code":null}})");
  EXPECT_EQ(
      openai_error({404, "There is no model \"x\".", "", "model_not_found", std::nullopt}),
      R"({"error":{"message":"There is no model \"x\".","type":"not_found_error","param":null,"code":"model_not_found"}})");
}

TEST(OpenAiError, TheTypeFollowsTheStatus) {
  const std::vector<std::pair<int, std::string>> types = {
      {400, "invalid_request_error"}, {401, "authentication_error"},
      {403, "permission_error"},      {404, "not_found_error"},
      {405, "invalid_request_error"}, {408, "timeout_error"},
      {409, "conflict_error"},        {413, "invalid_request_error"},
      {422, "invalid_request_error"}, {429, "rate_limit_error"},
      {499, "invalid_request_error"}, {500, "server_error"},
      {503, "server_error"},          {529, "server_error"}};
  for (const auto& [status, type] : types) EXPECT_EQ(openai_error_type(status), type) << status;
}

TEST(OpenAiError, EveryErrorOfAProviderHasAShape) {
  for (const Code code : {Code::kInvalid, Code::kTooLong, Code::kNotFound, Code::kExhausted,
                          Code::kTimeout, Code::kCancelled, Code::kUnavailable, Code::kUnsupported,
                          Code::kInternal, Code::kCorrupt}) {
    const Json body = *parse_json(openai_error(refusal_of(Error{code, "Why."})), "error");
    EXPECT_EQ(body.find("error")->members().size(), 4u);
    EXPECT_EQ(body.find("error")->find("message")->text(), "Why.");
  }
}

}  // namespace
}  // namespace plumb::wire
