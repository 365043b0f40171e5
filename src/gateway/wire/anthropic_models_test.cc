#include "gateway/wire/anthropic_models.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace plumb::wire {
namespace {

TEST(AnthropicModels, ListModelsAndTheirAliases) {
  const std::vector<ModelCard> cards = {{"big", 1000, "f", "t", "n"}, {"small", 0, "f", "t", "n"}};
  EXPECT_EQ(
      anthropic_models(cards, {{"claude-x", "big"}, {"dangling", "gone"}}),
      R"({"data":[{"type":"model","id":"big","display_name":"big","created_at":"1970-01-01T00:00:00Z",)"
      R"("lifecycle":"active","max_input_tokens":1000,"max_tokens":1000,"capabilities":null},)"
      R"({"type":"model","id":"small","display_name":"small","created_at":"1970-01-01T00:00:00Z",)"
      R"("lifecycle":"active","max_input_tokens":null,"max_tokens":null,"capabilities":null},)"
      R"({"type":"model","id":"claude-x","display_name":"big","created_at":"1970-01-01T00:00:00Z",)"
      R"("lifecycle":"active","max_input_tokens":1000,"max_tokens":1000,"capabilities":null}],)"
      R"("has_more":false,"first_id":"big","last_id":"claude-x"})");
  EXPECT_EQ(anthropic_models({}, {}),
            R"({"data":[],"has_more":false,"first_id":null,"last_id":null})");
}

TEST(AnthropicModels, OneIsFoundByNameOrAlias) {
  const std::vector<ModelCard> cards = {{"big", 1000, "f", "t", "n"}};
  const auto model = anthropic_model(cards, {{"claude-x", "big"}}, "claude-x");
  ASSERT_TRUE(model.has_value());
  EXPECT_NE(model->find(R"("id":"claude-x","display_name":"big")"), std::string::npos);
  EXPECT_TRUE(anthropic_model(cards, {}, "big").has_value());
  EXPECT_FALSE(anthropic_model(cards, {}, "claude-x").has_value());
}

}  // namespace
}  // namespace plumb::wire
