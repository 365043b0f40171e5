// The chat format over the real vocabulary: the ids of the worked examples, the token counts of the
// official vectors.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "text/chat_format.h"
#include "text/chat_test_data.h"
#include "text/v4_tokenizer_for_tests.h"

namespace plumb {
namespace {

using namespace chat_tests;  // NOLINT: test vocabulary

using Ids = std::vector<Token>;

class IdsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto format = make_deepseek_v4_format(v4_tokenizer());
    ASSERT_TRUE(format.has_value());
    format_ = *std::move(format);
  }

  Ids ids(const std::string& messages, Effort effort = Effort::kNone) {
    const Result<RenderedPrompt> prompt = format_->render(conversation(messages, effort));
    EXPECT_TRUE(prompt.has_value());
    return prompt ? prompt->tokens : Ids();
  }

  std::unique_ptr<const ChatFormat> format_;
};

TEST_F(IdsTest, WorkedExamples) {
  EXPECT_EQ(ids(R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}])"),
            (Ids{0, 7153, 9708, 16, 128803, 23166, 128804, 128822}));
  EXPECT_EQ(ids(R"([{"role":"user","content":"2+2?"}])", Effort::kHigh),
            (Ids{0, 128803, 20, 13, 20, 33, 128804, 128821}));
  EXPECT_EQ(ids(R"([{"role":"user","content":"A?"},
                    {"role":"assistant","content":"B","reasoning_content":"old"},
                    {"role":"user","content":"C?"}])",
                Effort::kHigh),
            (Ids{0, 128803, 35, 33, 128804, 128822, 36, 1, 128803, 37, 33, 128804, 128821}));
}

TEST_F(IdsTest, PromptsThatThePublishedServiceCounted) {
  EXPECT_EQ(
      ids(R"([{"role":"user","content":"Answer with only the number: 2048 divided by 128 is"}])"),
      (Ids{0, 128803, 7805, 418, 1353, 270, 1167, 28, 223, 11154, 26, 7203, 513, 223, 7833, 344,
           128804, 128822}));
  EXPECT_EQ(
      ids(R"([{"role":"user","content":"Rispondi in italiano con una frase: chi era Ada Lovelace?"}])")
          .size(),
      21u);
}

TEST_F(IdsTest, ToolResults) {
  const Ids two = ids(R"([{"role":"tool","content":"10:00"},{"role":"tool","content":"10:01"}])",
                      Effort::kHigh);
  EXPECT_EQ(two, (Ids{0,    128803, 30,    72461, 46148, 32,    553,    28,    504,
                      1718, 72461,  46148, 4697,  30,    72461, 46148,  32,    553,
                      28,   2616,   1718,  72461, 46148, 32,    128804, 128821}));
}

TEST_F(IdsTest, MergesCrossTheBorderBetweenContentAndTemplate) {
  Ids joined;
  v4_tokenizer().encode("?\n\n<tool_result>x</tool_result>", joined);
  joined.insert(joined.begin(), {0, 128803});
  joined.insert(joined.end(), {128804, 128822});
  EXPECT_EQ(ids(R"([{"role":"user","content":"?"},{"role":"tool","content":"x"}])"), joined);
  EXPECT_EQ(joined[2], 1240);  // "?" and the blank line are one token
}

TEST_F(IdsTest, OfficialVectorsHaveTheDocumentedCounts) {
  const std::size_t counts[] = {541, 53, 820, 582};
  for (int i = 1; i <= 4; ++i) {
    const std::string input = read_data("test_input_" + std::to_string(i) + ".json");
    EXPECT_EQ(ids(input, i == 4 ? Effort::kNone : Effort::kHigh).size(), counts[i - 1]) << i;
  }
}

TEST_F(IdsTest, OfficialVectorsTokenizeAsTheirStrings) {
  for (int i = 1; i <= 4; ++i) {
    const std::string number = std::to_string(i);
    Ids expected;
    v4_tokenizer().encode_trusted(read_data("test_output_" + number + ".txt"), expected);
    EXPECT_EQ(
        ids(read_data("test_input_" + number + ".json"), i == 4 ? Effort::kNone : Effort::kHigh),
        expected)
        << i;
  }
}

TEST_F(IdsTest, TheDocumentedCallIsReadAndWrittenWithItsIds) {
  const Ids call = {271,   30,   128825, 72461, 4941,   12548, 1018,   30,    128825, 40148,  5406,
                    2329,  1281, 1133,   20035, 3816,   30,    128825, 41523, 2329,   1281,   20228,
                    4,     3418, 1281,   11476, 3320,   29207, 24387,  661,   1718,   128825, 41523,
                    1018,  30,   128825, 41523, 2329,   1281,  333,    69,    4,      3418,   1281,
                    19836, 3320, 19836,  1718,  128825, 41523, 1018,   1718,  128825, 40148,  5406,
                    1018,  1718, 128825, 72461, 4941,   12548, 32,     1};
  const Conversation asked = conversation(R"([{"role":"user","content":"Q"}])");
  const auto parser = format_->make_parser(asked);
  std::vector<ReplyDelta> deltas;
  for (const Token token : call) parser->push(token, deltas);
  parser->finish(deltas);
  std::string name, arguments;
  for (const ReplyDelta& delta : deltas) {
    ASSERT_TRUE(std::holds_alternative<ToolCallDelta>(delta));
    name += std::get<ToolCallDelta>(delta).name;
    arguments += std::get<ToolCallDelta>(delta).arguments;
  }
  EXPECT_EQ(name, "get_time");
  EXPECT_EQ(arguments, R"({"tz": "Europe/Rome", "utc": false})");
  EXPECT_TRUE(parser->unfinished_calls().empty());

  Conversation answered = asked;
  Message reply;
  reply.role = Role::kAssistant;
  reply.tool_calls = {{.id = "", .name = name, .arguments = arguments}};
  answered.messages.push_back(reply);
  const Ids before = format_->render(asked)->tokens;
  const Ids after = format_->render(answered)->tokens;
  EXPECT_EQ(Ids(after.begin() + static_cast<std::ptrdiff_t>(before.size()), after.end()), call);
}

}  // namespace
}  // namespace plumb
