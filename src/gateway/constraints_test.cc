#include "gateway/constraints.h"

#include <gtest/gtest.h>

#include <string>

#include "fakes/byte_tokenizer.h"

namespace plumb {
namespace {

class ConstraintsTest : public ::testing::Test {
 protected:
  static Prompt asked() {
    Conversation conversation;
    conversation.messages.push_back(Message::of(Role::kUser, "Hi"));
    return conversation;
  }
  static Contract schema(std::string source) {
    Contract contract;
    contract.form = {AnswerForm::Kind::kSchema, std::move(source), {}};
    return contract;
  }

  Result<std::shared_ptr<grammar::Machine>> machine(const Prompt& prompt,
                                                    const Contract& contract) {
    return constraints_.machine(prompt, contract, false);
  }

  fakes::ByteTokenizer tokenizer_ = fakes::deepseek_v4_byte_tokenizer();
  std::unique_ptr<const ChatFormat> format_ = std::move(*make_deepseek_v4_format(tokenizer_));
  Constraints constraints_{tokenizer_, format_.get(), tokenizer_.vocab_size()};
};

TEST_F(ConstraintsTest, WhatIsAskedAgainIsNotMadeAgain) {
  EXPECT_EQ(*machine(asked(), {}), nullptr);
  const auto first = *machine(asked(), schema(R"({"type":"string"})"));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(*machine(asked(), schema(R"({"type":"string"})")), first);
  EXPECT_NE(*machine(asked(), schema(R"({"type":"integer"})")), first);
  // Raw text has another grammar: nothing but the answer.
  EXPECT_NE(*machine(RawText{"Hi"}, schema(R"({"type":"string"})")), first);
  Conversation with_tool = std::get<Conversation>(asked());
  with_tool.tools.push_back({"f", R"({"name":"f"})", false});
  EXPECT_NE(*machine(with_tool, schema(R"({"type":"string"})")), first);
}

// Large ones push out what was used least lately; all together stay within bounds.
TEST_F(ConstraintsTest, OldGrammarsGiveWay) {
  const auto large = [](int i) {
    return schema(R"({"type":"string","pattern":"^[a-z]{9000}[0-9]{9000}x{)" + std::to_string(i) +
                  "}$\"}");
  };
  const auto first = *machine(asked(), large(1));
  ASSERT_NE(first, nullptr);
  EXPECT_GT(first->automaton_bytes(), std::size_t{500} << 10);
  const std::weak_ptr<grammar::Machine> watched = first;
  for (int i = 2; i < 40; ++i) ASSERT_TRUE(machine(asked(), large(i)));
  EXPECT_EQ(*machine(asked(), large(1)), first);
  for (int i = 40; i < 310; ++i) ASSERT_TRUE(machine(asked(), large(i)));
  EXPECT_NE(*machine(asked(), large(1)), first) << "it was made anew";
}

TEST_F(ConstraintsTest, WhatTakesTooMuchIsRefusedInASentence) {
  const auto refused =
      machine(asked(), schema(R"({"type":"string","pattern":"((a{99}){99}){99}"})"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_NE(refused.error().message.find("too large"), std::string::npos)
      << refused.error().message;
}

}  // namespace
}  // namespace plumb
