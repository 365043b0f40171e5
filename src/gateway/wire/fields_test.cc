#include "gateway/wire/fields.h"

#include <gtest/gtest.h>

#include "gateway/wire/random_reply_for_tests.h"
#include "gateway/wire/sse.h"
#include "gateway/wire/sse_reader_for_tests.h"

namespace plumb::wire {
namespace {

Json parsed(const std::string& text) { return *parse_json(text, "test"); }

TEST(Fields, WhatNobodyAskedForIsListedOnceWithoutIndices) {
  const Json body = parsed(R"({"a": 1, "b": 2, "list": [{"x": 1}, {"x": 2}]})");
  Reading reading;
  {
    Fields fields(body, "", reading);
    EXPECT_EQ(fields.integer("a", 0, 9), 1);
    const Json* list = fields.array("list");
    ASSERT_NE(list, nullptr);
    for (std::size_t i = 0; i < list->items().size(); ++i) {
      Fields item(list->items()[i], "list[" + std::to_string(i) + "]", reading);
    }
  }
  EXPECT_TRUE(reading.ok());
  EXPECT_EQ(reading.ignored, (std::vector<std::string>{"list[].x", "b"}));
}

TEST(Fields, ManyUnknownFieldsAreListedUpToABound) {
  Json body = Json::object();
  for (int i = 0; i < 1000; ++i)
    body.members().emplace_back("key" + std::to_string(i), Json::integer(i));
  Reading reading;
  { Fields fields(body, "", reading); }
  EXPECT_TRUE(reading.ok());
  EXPECT_EQ(reading.ignored.size(), kMostIgnored);
}

TEST(Fields, AWrongFieldIsNamedWithItsValueAndWhatWasExpected) {
  const Json body = parsed(R"({"temperature": "hot", "n": 99})");
  Reading reading;
  Fields fields(body, "options", reading);
  EXPECT_EQ(fields.number("temperature", 0, 2), std::nullopt);
  EXPECT_EQ(fields.integer("n", 1, 8), std::nullopt);  // the first refusal stays
  ASSERT_FALSE(reading.ok());
  EXPECT_EQ(reading.refusal->param, "options.temperature");
  EXPECT_EQ(reading.refusal->message,
            "options.temperature is \"hot\", expected a number from 0 to 2.");
}

TEST(Fields, NullIsAbsentAndHarmlessValuesOfUnsupportedFieldsPass) {
  const Json body = parsed(R"({"store": false, "user": null, "audio": {"voice": "x"}})");
  Reading reading;
  Fields fields(body, "", reading);
  EXPECT_EQ(fields.string("user"), std::nullopt);
  fields.unsupported("store", "nothing is stored", "false");
  EXPECT_TRUE(reading.ok());
  fields.unsupported("audio", "this model only writes text");
  ASSERT_FALSE(reading.ok());
  EXPECT_EQ(reading.refusal->param, "audio");
  EXPECT_EQ(reading.refusal->message,
            "audio is {\"voice\":\"x\"}, but this model only writes text.");
}

TEST(Fields, LongValuesAreCutBetweenCharacters) {
  const std::string text = shown(Json::string(std::string(79, 'x') + "é and more"));
  EXPECT_LE(text.size(), 84u);
  EXPECT_TRUE(text.ends_with("..."));
}

TEST(Sse, WhatIsWrittenIsReadHoweverItIsCut) {
  std::string bytes;
  append_event(bytes, "one");
  bytes += kSseKeepAlive;
  append_event(bytes, "named", "{\"a\":1}");
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    SseReader reader;
    auto events = reader.push(std::string_view(bytes).substr(0, cut));
    for (auto& event : reader.push(std::string_view(bytes).substr(cut))) events.push_back(event);
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].data, "one");
    EXPECT_EQ(events[1].name, "named");
    EXPECT_FALSE(reader.inside_event());
    EXPECT_TRUE(reader.malformed().empty());
  }
}

TEST(RandomReply, FinishesOnceAndLast) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto events = random_reply(seed);
    ASSERT_FALSE(events.empty());
    for (std::size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(std::holds_alternative<Finished>(events[i]), i + 1 == events.size());
    }
  }
}

}  // namespace
}  // namespace plumb::wire
