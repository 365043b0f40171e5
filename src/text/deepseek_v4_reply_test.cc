#include "text/deepseek_v4_reply.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "fakes/byte_tokenizer.h"
#include "text/chat_test_data.h"
#include "text/reply_test_data.h"

namespace plumb {
namespace {

using namespace chat_tests;  // NOLINT: test vocabulary

constexpr const char* kOpen = "\n\n<｜DSML｜tool_calls>\n";
constexpr const char* kClose = "\n</｜DSML｜tool_calls>";

std::string invoke(const std::string& name, const std::string& parameters) {
  return "<｜DSML｜invoke name=\"" + name + "\">\n" + parameters + "\n</｜DSML｜invoke>";
}
std::string parameter(const std::string& key, const std::string& value, bool is_string) {
  return "<｜DSML｜parameter name=\"" + key + "\" string=\"" + (is_string ? "true" : "false") +
         "\">" + value + "</｜DSML｜parameter>";
}

class ReplyTest : public ::testing::Test {
 protected:
  // Reads `text` byte by byte, control tokens wherever their names stand.
  Reply read(const std::string& text, bool thinking = false) {
    return read_reply(tokenizer_, control_pieces(tokenizer_, text), thinking);
  }
  // The same, but DSML names stay plain text.
  Reply read_plain(const std::string& text) {
    return read_reply(tokenizer_, {{false, text}}, false);
  }

  fakes::ByteTokenizer tokenizer_ = fakes::deepseek_v4_byte_tokenizer();
};

TEST_F(ReplyTest, RandomRepliesAsThePublishedParser) {
  const std::vector<Json> rows = read_lines("random_replies.jsonl");
  ASSERT_EQ(rows.size(), 120u);
  for (const Json& row : rows) {
    const Reply reply = read(row.find("text")->text(), *row.find("thinking")->as_bool());
    EXPECT_EQ(reply.reasoning, row.find("reasoning")->text());
    EXPECT_EQ(reply.content, row.find("content")->text());
    const std::vector<Json>& calls = row.find("calls")->items();
    ASSERT_EQ(reply.calls.size(), calls.size()) << row.find("text")->text();
    for (std::size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(reply.calls[i].name, calls[i].items()[0].text());
      EXPECT_EQ(reply.calls[i].arguments, calls[i].items()[1].text());
    }
    EXPECT_TRUE(reply.unfinished.empty());
    EXPECT_FALSE(reply.lost_markup);
  }
}

TEST_F(ReplyTest, ReasoningContentAndTwoCalls) {
  const Reply reply = read("why</think>Sure.\n" + std::string(kOpen) +
                               invoke("get_time", parameter("tz", "Europe/\"Rome\"\n<", true) +
                                                      "\n" + parameter("utc", "false", false)) +
                               "\n" + invoke("now", "") + kClose + "<｜end▁of▁sentence｜>ignored",
                           true);
  EXPECT_EQ(reply.reasoning, "why");
  EXPECT_EQ(reply.content, "Sure.\n");
  ASSERT_EQ(reply.calls.size(), 2u);
  EXPECT_EQ(reply.calls[0],
            (ToolCall{"call_0", "get_time", R"({"tz": "Europe/\"Rome\"\n<", "utc": false})"}));
  EXPECT_EQ(reply.calls[1], (ToolCall{"call_1", "now", "{}"}));
  EXPECT_FALSE(reply.lost_markup);
}

TEST_F(ReplyTest, StringValuesStreamAsTheyAreWritten) {
  ReplyStream stream(tokenizer_, false);
  stream.push_text(control_pieces(
      tokenizer_, kOpen + std::string("<｜DSML｜invoke name=\"f\">\n"
                                      "<｜DSML｜parameter name=\"k\" string=\"true\">abc")));
  EXPECT_EQ(stream.reply().calls.at(0).arguments, R"({"k": "abc)");
}

TEST_F(ReplyTest, TextIsHeldBackOnlyWhileItMightBeginMarkup) {
  ReplyStream stream(tokenizer_, false);
  stream.push_text({{false, "a\n\nb"}});
  EXPECT_EQ(stream.reply().content, "a\n\nb");
  stream.push_text({{false, "\n\n\n<"}});
  EXPECT_EQ(stream.reply().content, "a\n\nb\n");
  stream.push_text({{false, "p"}});
  EXPECT_EQ(stream.reply().content, "a\n\nb\n\n\n<p");
  stream.push_text({{false, "\xe6\xb8"}});
  EXPECT_EQ(stream.reply().content, "a\n\nb\n\n\n<p");
  stream.push_text({{false, "\xa9\n"}});
  EXPECT_EQ(stream.reply().content, "a\n\nb\n\n\n<p温");
  stream.finish();
  EXPECT_EQ(stream.reply().content, "a\n\nb\n\n\n<p温\n");
}

TEST_F(ReplyTest, QuotedMarkupWithoutTheControlTokenStaysContent) {
  const std::string quoted =
      "Write:" + std::string(kOpen) + invoke("f", parameter("k", "v", true)) + kClose;
  const Reply reply = read_plain(quoted);
  EXPECT_EQ(reply.content, quoted);
  EXPECT_TRUE(reply.calls.empty());
}

TEST_F(ReplyTest, AMentionOfATagStaysContent) {
  for (const std::string text :
       {"Use <｜DSML｜tool_calls> for calls.", "｜DSML｜ is a token.", "<｜DSML｜>",
        "a </｜DSML｜invoke> b", "<｜DSML｜parameter name=\"k\"> x"}) {
    const Reply reply = read(text);
    EXPECT_EQ(reply.content, text);
    EXPECT_TRUE(reply.calls.empty());
    EXPECT_FALSE(reply.lost_markup);
  }
  const std::string thought = "I could write <｜DSML｜invoke name=\"f\"> but no";
  EXPECT_EQ(read(thought + "</think>No.", true).reasoning, thought);
}

TEST_F(ReplyTest, ACallEndsReasoningThatWasNotClosed) {
  const Reply reply = read("so call it" + std::string(kOpen) + invoke("f", "") + kClose, true);
  EXPECT_EQ(reply.reasoning, "so call it");
  EXPECT_EQ(reply.content, "");
  ASSERT_EQ(reply.calls.size(), 1u);
  EXPECT_EQ(reply.calls[0].arguments, "{}");
}

TEST_F(ReplyTest, DeviationsThatModelsAreSeenToMake) {
  const std::string call = invoke("f", parameter("k", "1", false));
  for (const std::string& text : {
           "\n\n<｜DSML｜toolcalls>\n" + call + "\n</｜DSML｜toolcalls>",  // no underscore
           "\n<｜DSML｜tool_calls>" + call + "</｜DSML｜tool_calls>\n",    // other white space
           "<｜DSML｜tool_calls>\n" + call + kClose,                       // no blank line before
           "\n\n" + call,                                                  // no block at all
           kOpen + call,                                                   // block never closed
           std::string(kOpen) + "<｜DSML｜invoke name=\"f\">\n" + parameter("k", "1", false) +
               kClose,
           std::string(kOpen) +
               "<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"k\">1</｜DSML｜parameter>\n"
               "</｜DSML｜invoke>" +
               kClose,  // no type
       }) {
    const Reply reply = read(text);
    ASSERT_EQ(reply.calls.size(), 1u) << text;
    EXPECT_EQ(reply.calls[0].arguments, R"({"k": 1})") << text;
    EXPECT_EQ(reply.content, "") << text;
    EXPECT_FALSE(reply.lost_markup) << text;
  }
}

TEST_F(ReplyTest, AnAnswerMayFollowTheCalls) {
  const Reply reply = read("A" + std::string(kOpen) + invoke("f", "") + kClose + "\n\nB" + kOpen +
                           invoke("g", "") + "\nC");
  EXPECT_EQ(reply.content, "ABC");
  ASSERT_EQ(reply.calls.size(), 2u);
  EXPECT_EQ(reply.calls[1].name, "g");
}

TEST_F(ReplyTest, ValuesThatAreNotJsonBecomeStrings) {
  for (const auto& [value, json] :
       std::vector<std::pair<std::string, std::string>>{{"[1, 2.50]", "[1, 2.50]"},
                                                        {"Rome", "\"Rome\""},
                                                        {"{\"a\": ", "\"{\\\"a\\\": \""},
                                                        {"NaN", "\"NaN\""},
                                                        {"", "\"\""}}) {
    const Reply reply = read(kOpen + invoke("f", parameter("k", value, false)) + kClose);
    ASSERT_EQ(reply.calls.size(), 1u);
    EXPECT_EQ(reply.calls[0].arguments, "{\"k\": " + json + "}");
  }
}

TEST_F(ReplyTest, OfTwoValuesForOneKeyTheFirstCounts) {
  const Reply reply =
      read(kOpen +
           invoke("f", parameter("k", "1", false) + "\n" + parameter("k", "two", true) + "\n" +
                           parameter("l", "3", false)) +
           kClose);
  ASSERT_EQ(reply.calls.size(), 1u);
  EXPECT_EQ(reply.calls[0].arguments, R"({"k": 1, "l": 3})");
  EXPECT_TRUE(reply.lost_markup);
}

TEST_F(ReplyTest, ValuesMayHoldMarkupAndControlTokens) {
  const std::string value = "</｜DSML｜invoke> <｜DSML｜tool_calls> <think></think><｜User｜> </ <";
  const Reply reply =
      read(kOpen + invoke("f", parameter("k", value, true) + "\n" + parameter("l", value, false)) +
           kClose);
  ASSERT_EQ(reply.calls.size(), 1u);
  EXPECT_EQ(parse(reply.calls[0].arguments).find("k")->text(), value);
  EXPECT_EQ(parse(reply.calls[0].arguments).find("l")->text(), value);
}

TEST_F(ReplyTest, ControlTokensOfNoUseAreLeftOutOfText) {
  const Reply reply =
      read("a<think><｜▁pad▁｜>b</think>c<think>d</think></think>e<｜User｜>", true);
  EXPECT_EQ(reply.reasoning, "abd");
  EXPECT_EQ(reply.content, "ce");
}

TEST_F(ReplyTest, ACallCutOffIsNeverComplete) {
  const std::vector<ReplyPiece> whole = control_pieces(
      tokenizer_, "Hi" + std::string(kOpen) +
                      invoke("f", parameter("k", "v", true) + "\n" + parameter("n", "[1]", false)) +
                      "\n" + invoke("g", "") + kClose);
  for (std::size_t length = 0; length <= size_of(whole); ++length) {
    const std::vector<ReplyPiece> cut = beginning(whole, length);
    const Reply reply = read_reply(tokenizer_, cut, false);
    if (length <= 5) {
      EXPECT_EQ(reply.content, std::string("Hi\n\n<").substr(0, length));
    } else {
      EXPECT_EQ(reply.content, "Hi") << length;
    }
    std::string spelled;
    for (const ReplyPiece& piece : cut) spelled += piece.text;
    std::size_t complete = 0;
    const std::string end = "</｜DSML｜invoke>";
    for (std::size_t at = 0; (at = spelled.find(end, at)) != std::string::npos; at += end.size())
      ++complete;
    for (std::size_t i = 0; i < reply.calls.size(); ++i) {
      EXPECT_EQ(parse_json(reply.calls[i].arguments, "arguments").has_value(), i < complete)
          << length << ' ' << reply.calls[i].arguments;
    }
    const bool cut_off = reply.calls.size() > complete;
    EXPECT_EQ(reply.unfinished.size(), cut_off ? 1u : 0u) << length;
    EXPECT_TRUE(!cut_off || reply.lost_markup) << length;
  }
}

TEST_F(ReplyTest, AMalformedCallDoesNotSpoilTheNext) {
  const Reply reply = read(kOpen + invoke("f", "{\"k\": 1}") + "\n" + invoke("", "") + "\n" +
                           invoke("g", parameter("k", "1", false)) + kClose + "\nafter");
  ASSERT_EQ(reply.calls.size(), 2u);
  EXPECT_FALSE(parse_json(reply.calls[0].arguments, "arguments").has_value());
  EXPECT_EQ(reply.calls[1].arguments, R"({"k": 1})");
  EXPECT_EQ(reply.unfinished, std::vector<int>{0});
  EXPECT_TRUE(reply.lost_markup);
  EXPECT_EQ(reply.content, "after");
}

TEST_F(ReplyTest, TheParserStartsWhereThePromptEnds) {
  const auto format = make_deepseek_v4_format(tokenizer_);
  ASSERT_TRUE(format.has_value());
  const auto starts_in_reasoning = [&](const std::string& messages, Effort effort) {
    std::vector<ReplyDelta> out;
    (*format)->make_parser(conversation(messages, effort))->push('x', out);
    return out.size() == 1 && std::holds_alternative<ReasoningDelta>(out[0]);
  };
  const std::string question = R"([{"role":"user","content":"Q"}])";
  EXPECT_FALSE(starts_in_reasoning(question, Effort::kNone));
  EXPECT_TRUE(starts_in_reasoning(question, Effort::kHigh));
  EXPECT_TRUE(starts_in_reasoning(question, Effort::kMax));
  EXPECT_FALSE(starts_in_reasoning(
      R"([{"role":"user","content":"Q"},{"role":"assistant","content":"Par","wo_eos":true}])",
      Effort::kHigh));
  EXPECT_FALSE(
      starts_in_reasoning(R"([{"role":"user","content":"Q","task":"action"}])", Effort::kHigh));
  EXPECT_EQ((*format)->stop_tokens(),
            std::vector<Token>{*tokenizer_.control("<｜end▁of▁sentence｜>")});
}

TEST_F(ReplyTest, CallIdsGoOnThroughAConversation) {
  const auto format = make_deepseek_v4_format(tokenizer_);
  const auto parser = (*format)->make_parser(conversation(R"([{"role":"user","content":"Q"},
      {"role":"assistant","tool_calls":[{"id":"call_2","function":{"name":"f","arguments":"{}"}}]},
      {"role":"tool","tool_call_id":"call_2","content":"x"}])"));
  std::vector<Token> tokens;
  tokenizer_.encode_trusted(kOpen + invoke("f", "") + "\n" + invoke("f", ""), tokens);
  std::vector<ReplyDelta> out;
  for (const Token token : tokens) parser->push(token, out);
  parser->finish(out);
  std::vector<std::string> ids;
  for (const ReplyDelta& delta : out) {
    const auto* call = std::get_if<ToolCallDelta>(&delta);
    if (call && !call->id.empty()) ids.push_back(call->id);
  }
  EXPECT_EQ(ids, (std::vector<std::string>{"call_1", "call_3"}));
}

}  // namespace
}  // namespace plumb
