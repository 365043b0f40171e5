#include "gateway/wire/openai_models.h"

#include <gtest/gtest.h>

namespace plumb::wire {
namespace {

const std::vector<ModelCard> kModels = {{"flash", 1048576, "f", "t", "n"},
                                        {"minnow", 4096, "f", "t", "n"}};
const ModelAliases kAliases = {{"gpt-4o", "flash"}, {"gone", "nobody"}};

TEST(OpenAiModels, TheListHasModelsThenAliasesOfModelsThatAreThere) {
  EXPECT_EQ(
      openai_model_list(kModels, kAliases, 17),
      R"({"object":"list","data":[)"
      R"({"id":"flash","object":"model","created":17,"owned_by":"plumb","root":"flash","max_model_len":1048576},)"
      R"({"id":"minnow","object":"model","created":17,"owned_by":"plumb","root":"minnow","max_model_len":4096},)"
      R"({"id":"gpt-4o","object":"model","created":17,"owned_by":"plumb","root":"flash","max_model_len":1048576}]})");
  EXPECT_EQ(openai_model_list({}, kAliases, 17), R"({"object":"list","data":[]})");
}

TEST(OpenAiModels, OneModelIsFoundByItsNameOrAlias) {
  EXPECT_EQ(
      openai_model(kModels, kAliases, 17, "minnow"),
      R"({"id":"minnow","object":"model","created":17,"owned_by":"plumb","root":"minnow","max_model_len":4096})");
  EXPECT_EQ(
      openai_model(kModels, kAliases, 17, "gpt-4o"),
      R"({"id":"gpt-4o","object":"model","created":17,"owned_by":"plumb","root":"flash","max_model_len":1048576})");
  EXPECT_EQ(openai_model(kModels, kAliases, 17, "gone"), std::nullopt);
  EXPECT_EQ(openai_model(kModels, kAliases, 17, ""), std::nullopt);
}

}  // namespace
}  // namespace plumb::wire
