#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <thread>

#include "text/tiny_tokenizer_for_tests.h"

namespace plumb {
namespace {

std::string changed(std::string_view from, std::string_view to) {
  std::string file = tiny_tokenizer_json();
  const std::size_t at = file.find(from);
  EXPECT_NE(at, file.npos) << from;
  return file.replace(at, from.size(), to);
}

std::unique_ptr<const Tokenizer> loaded(std::string_view file) {
  auto tokenizer = Tokenizer::load(file);
  EXPECT_TRUE(tokenizer) << (tokenizer ? "" : tokenizer.error().message);
  return tokenizer ? *std::move(tokenizer) : nullptr;
}

std::vector<Token> encoded(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> ids;
  tokenizer.encode(text, ids);
  return ids;
}

std::vector<Token> trusted(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> ids;
  tokenizer.encode_trusted(text, ids);
  return ids;
}

using Ids = std::vector<Token>;

TEST(Tokenizer, MergesAndAppends) {
  const auto tokenizer = loaded(tiny_tokenizer_json());
  Ids ids = {7};
  tokenizer->encode("the the th", ids);
  EXPECT_EQ(ids, (Ids{7, 260, 261, 223, 259}));
  EXPECT_EQ(tokenizer->vocab_size(), 302);
  EXPECT_EQ(tokenizer->bytes(261), " the");
  EXPECT_EQ(tokenizer->bytes(2), "");
  EXPECT_EQ(tokenizer->bytes(299), "");
  EXPECT_TRUE(encoded(*tokenizer, "").empty());
}

TEST(Tokenizer, InvalidUtf8IsEncodedByteByByte) {
  const auto tokenizer = loaded(tiny_tokenizer_json());
  for (const std::string_view text : {"\xFF", "\xE4\xB8", "th\xC0the", "\xED\xA0\x80"}) {
    std::string back;
    for (const Token id : encoded(*tokenizer, text)) back += tokenizer->bytes(id);
    EXPECT_EQ(back, text);
  }
  EXPECT_EQ(encoded(*tokenizer, "\xFF\xAD").size(), 2U);
}

TEST(Tokenizer, TextNeverBecomesAControlToken) {
  const auto tokenizer = loaded(tiny_tokenizer_json());
  for (const Token id : encoded(*tokenizer, "<s></s><the><the><the>")) {
    EXPECT_FALSE(tokenizer->is_control(id));
  }
  EXPECT_EQ(*tokenizer->control("<the>"), 300);
  const auto missing = tokenizer->control("<th\n>");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_EQ(missing.error().message, "The tokenizer has no control token named \"<th\\n>\".");
}

TEST(Tokenizer, TrustedTextIsReadLeftmostLongestNormalizedLast) {
  const auto tokenizer = loaded(tiny_tokenizer_json());
  EXPECT_EQ(trusted(*tokenizer, "<s>the<the>"), (Ids{0, 260, 300}));
  EXPECT_EQ(trusted(*tokenizer, "<the><the><the>"), (Ids{301, 300}));
  EXPECT_EQ(trusted(*tokenizer, "</s><s"), (Ids{1, 30, 85}));
}

TEST(Tokenizer, TrustedTextHasNamesThatAreNotNormalizedFirst) {
  const auto tokenizer = loaded(changed(R"("content":"<the><the>","normalized":true)",
                                        R"("content":"e><","normalized":false)"));
  EXPECT_EQ(trusted(*tokenizer, "<the><the>"), (Ids{30, 259, 301, 260, 32}));
}

TEST(Tokenizer, BothSpellingsOfMergesAreTheSame) {
  const auto strings = loaded(tiny_tokenizer_json());
  const auto pairs =
      loaded(changed(R"(["t h","th e","Ġ the"])", R"([["t","h"],["th","e"],["Ġ","the"]])"));
  EXPECT_EQ(encoded(*pairs, "the the"), encoded(*strings, "the the"));
  EXPECT_EQ(pairs->fingerprint(), strings->fingerprint());
}

TEST(Tokenizer, FingerprintCoversWhatDecidesIds) {
  const std::string own = loaded(tiny_tokenizer_json())->fingerprint();
  EXPECT_EQ(own.size(), 64U);
  EXPECT_EQ(own, loaded(tiny_tokenizer_json())->fingerprint());
  EXPECT_NE(own, loaded(changed(R"("t h","th e")", R"("th e","t h")"))->fingerprint());
  EXPECT_NE(own, loaded(changed(R"("th":259,"the":260)", R"("th":260,"the":259)"))->fingerprint());
  EXPECT_NE(own, loaded(changed(R"("id":300)", R"("id":302)"))->fingerprint());
  EXPECT_NE(own, loaded(changed("\"<the>\"", "\"<thy>\""))->fingerprint());
}

struct Refusal {
  std::string_view from, to;
  Code code;
  std::string_view says;
};

class TokenizerRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(TokenizerRefuses, ByName) {
  const Refusal& refusal = GetParam();
  const auto tokenizer = Tokenizer::load(changed(refusal.from, refusal.to));
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, refusal.code) << tokenizer.error().message;
  EXPECT_NE(tokenizer.error().message.find(refusal.says), std::string::npos)
      << tokenizer.error().message;
}

constexpr Code kBad = Code::kCorrupt;
constexpr Code kNo = Code::kUnsupported;
INSTANTIATE_TEST_SUITE_P(
    Files, TokenizerRefuses,
    testing::Values(
        Refusal{"{\"version\"", "\"version\"", kBad, "tokenizer.json"},
        Refusal{"\"version\"", "\"verzion\"", kNo, "unknown field \"verzion\""},
        Refusal{"\"truncation\":null", "\"truncation\":{}", kNo, "truncation is {}"},
        Refusal{"\"normalizers\":[]", "\"normalizers\":[{\"type\":\"NFC\"}]", kNo, "\"NFC\""},
        Refusal{"{1,3}", "{1,4}", kNo, "pretokenizers[0].pattern"},
        Refusal{"\"Isolated\"", "\"Removed\"", kNo, "behavior is \"Removed\""},
        Refusal{"\"invert\":false", "\"invert\":true", kNo, "invert is true"},
        Refusal{"\"use_regex\":false", "\"use_regex\":true", kNo, "use_regex is true"},
        Refusal{"\"add_prefix_space\":false", "\"add_prefix_space\":true", kNo, "add_prefix_space"},
        Refusal{"\"post_processor\":null", "\"post_processor\":{\"type\":\"TemplateProcessing\"}",
                kNo, "TemplateProcessing"},
        Refusal{"{\"type\":\"ByteLevel\"}", "{\"type\":\"WordPiece\"}", kNo, "WordPiece"},
        Refusal{"\"type\":\"BPE\"", "\"type\":\"Unigram\"", kNo, "model.type is \"Unigram\""},
        Refusal{"\"dropout\":null", "\"dropout\":0.1", kNo, "model.dropout is 0.1"},
        Refusal{"\"dropout\":null", "\"ignore_merges\":true", kNo, "model.ignore_merges is true"},
        Refusal{"\"dropout\":null", "\"byte_fallback\":true", kNo, "byte_fallback"},
        Refusal{"\"dropout\":null", "\"unk_token\":\"<unk>\"", kNo, "<unk>"},
        Refusal{"\"normalized\":false", "\"lstrip\":true", kNo, "added_tokens[0].lstrip is true"},
        Refusal{"\"id\":300", "\"id\":301", kBad, "301 twice"},
        Refusal{"\"id\":300", "\"id\":-1", kBad, "added_tokens[2] has the id -1"},
        Refusal{"\"id\":300", "\"id\":2097152", kNo, "2097152"},
        Refusal{"\"id\":300", "\"id\":260", kBad, "\"<the>\" the id 260"},
        Refusal{"\"id\":0", "\"id\":2", kBad, "\"<s>\" the id 2"},
        Refusal{"\"content\":\"<the>\"", "\"content\":\"\"", kBad, "added_tokens[2].content"},
        Refusal{"\"content\":\"<the>\"", "\"content\":\"<s>\"", kBad, "added_tokens[2]"},
        Refusal{"\"content\":\"<the>\"", "\"content\":\"the\"", kBad, "added_tokens[2]"},
        Refusal{"\"th\":259", "\"th\":260", kBad, "same id 260"},
        Refusal{"\"th\":259", "\"th\":9.5", kBad, "\"th\" has the id 9.5"},
        Refusal{"\"th\":259", "\"中\":259", kBad, "byte alphabet"},
        Refusal{"\"!\":3", "\"th!\":3", kBad, "no token for the byte 33"},
        Refusal{"\"t h\"", "\"th\"", kBad, "merges[0] is \"th\""},
        Refusal{"\"t h\"", "\"t  h\"", kBad, "merges[0]"},
        Refusal{"\"t h\"", "[\"t\"]", kBad, "merges[0]"},
        Refusal{"\"t h\"", "7", kBad, "merges[0] is 7"},
        Refusal{"\"t h\"", "\"t !\"", kBad, "\"t!\", which model.vocab does not have"},
        Refusal{"\"t h\"", "\"t h\",\"t h\"", kBad, "Merges 0 and 1"}));

TEST(Tokenizer, NoMergeMayTouchAControlToken) {
  const auto result =
      Tokenizer::load(changed(R"("id":300,"content":"<the>")", R"("id":260,"content":"the")"));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("which is an added token"), std::string::npos)
      << result.error().message;
}

TEST(Tokenizer, SharedBetweenThreads) {
  const auto tokenizer = loaded(tiny_tokenizer_json());
  const std::string text = "the there, 12345 中文 the\n\n the";
  const Ids expected = encoded(*tokenizer, text);
  std::vector<std::thread> threads;
  std::vector<int> same(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) same[t] += encoded(*tokenizer, text) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, (std::vector<int>{200, 200, 200, 200}));
}

// What truncation at any byte does: a sentence, never a crash.
TEST(Tokenizer, TruncatedFilesAreRefused) {
  const std::string file = tiny_tokenizer_json();
  for (std::size_t size = 0; size < file.size(); size += 7) {
    const auto tokenizer = Tokenizer::load(std::string_view(file).substr(0, size));
    ASSERT_FALSE(tokenizer);
    EXPECT_EQ(tokenizer.error().code, Code::kCorrupt);
  }
}

}  // namespace
}  // namespace plumb
