// Streams as clients meet them: through the service and HTTP's framing, checked by strict readers.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/soak_for_tests.h"
#include "base/strings.h"
#include "gateway/scripted_provider_for_tests.h"
#include "gateway/wire/anthropic_checker_for_tests.h"
#include "gateway/wire/openai_chat_checker_for_tests.h"
#include "gateway/wire/openai_completions_checker_for_tests.h"
#include "gateway/wire/random_reply_for_tests.h"
#include "gateway/wire/responses_checker_for_tests.h"
#include "server/answer_framing.h"
#include "server/service.h"

namespace plumb {
namespace {

// A chunked HTTP/1.1 answer read strictly. The body counts as ended only with the final chunk.
struct HttpBody {
  bool ended = false;
  std::string data;
};
HttpBody read_chunks(std::string_view bytes) {
  HttpBody body;
  std::size_t at = bytes.find("\r\n\r\n");
  if (at == bytes.npos) return body;
  at += 4;
  while (true) {
    const std::size_t line = bytes.find("\r\n", at);
    if (line == bytes.npos) return body;
    const std::size_t size = std::stoul(std::string(bytes.substr(at, line - at)), nullptr, 16);
    const std::size_t data = line + 2;
    if (bytes.size() < data + size + 2) {
      if (data < bytes.size()) body.data += bytes.substr(data, size);
      return body;
    }
    body.data += bytes.substr(data, size);
    at = data + size + 2;
    if (size == 0) {
      body.ended = at == bytes.size();
      return body;
    }
  }
}

// A client of one format.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual void push(std::string_view bytes) = 0;
  virtual bool complete() const = 0;
  virtual std::string violation() const = 0;  // the first; empty: none
};

template <class Checker>
class ReaderOf final : public Reader {
 public:
  template <class... Options>
  explicit ReaderOf(const Options&... options) : checker_(options...) {}
  void push(std::string_view bytes) override { checker_.push(bytes); }
  bool complete() const override { return checker_.complete(); }
  std::string violation() const override {
    if constexpr (requires { checker_.violations(); }) {
      return checker_.violations().empty() ? "" : checker_.violations().front();
    } else {
      return checker_.violation();
    }
  }

 private:
  Checker checker_;
};

std::unique_ptr<Reader> read_chat() {
  wire::StreamExpectation expected;
  expected.choices = 2;
  expected.usage = true;
  return std::make_unique<ReaderOf<wire::OpenAiChatChecker>>(expected);
}
std::unique_ptr<Reader> read_completions() {
  return std::make_unique<ReaderOf<wire::OpenAiCompletionsChecker>>(wire::StreamExpectation{});
}
std::unique_ptr<Reader> read_responses() {
  return std::make_unique<ReaderOf<wire::ResponsesChecker>>();
}
std::unique_ptr<Reader> read_messages() {
  return std::make_unique<ReaderOf<wire::AnthropicChecker>>();
}

struct Protocol {
  std::string name, path, body;
  wire::RandomReplyOptions options;
  std::unique_ptr<Reader> (*reader)();
};

std::vector<Protocol> protocols() {
  wire::RandomReplyOptions all, text;
  text.reasoning = text.tools = false;
  const std::string tool =
      R"("tools": [{"type": "function", "function": {"name": "tool_0", "parameters": {"type": "object"}}}])";
  return {
      {"chat", "/v1/chat/completions",
       R"({"stream": true, "n": 2, "stream_options": {"include_usage": true}, )" + tool +
           R"(, "messages": [{"role": "user", "content": "hi"}]})",
       all, read_chat},
      {"completions", "/v1/completions", R"({"stream": true, "prompt": "hi"})", text,
       read_completions},
      {"responses", "/v1/responses",
       R"({"stream": true, "input": "hi", "tools": [{"type": "function", "name": "tool_0", "parameters": {"type": "object"}}]})",
       all, read_responses},
      {"messages", "/v1/messages",
       R"({"model": "script", "max_tokens": 100000, "stream": true, "messages": [{"role": "user", "content": "hi"}],
           "tools": [{"name": "tool_0", "input_schema": {"type": "object"}}]})",
       all, read_messages},
  };
}

class Streams : public testing::TestWithParam<Protocol> {
 protected:
  // The bytes on the wire of one answer to the reply that the seed makes.
  std::string answer(std::uint64_t seed) {
    seed_ = seed * 2;
    HttpRequest request;
    request.method = "POST";
    request.path = GetParam().path;
    request.body = GetParam().body;
    request.peer = "127.0.0.1";
    const auto answer = service_.handle(std::move(request));
    AnswerFraming framing({true, false, true});
    std::string wire, before, after;
    for (bool begun = false;; begun = true) {
      std::string out;
      const Answer::State state = answer->pull(out);
      if (answer->head() == nullptr) ADD_FAILURE() << "no head";
      if (!begun) wire += framing.begin(*answer->head(), answer->length(), 0);
      EXPECT_TRUE(framing.frame(out.size(), state == Answer::State::kEnd, before, after));
      wire += before + out + after;
      if (state == Answer::State::kEnd) return wire;
      if (state != Answer::State::kMore) {
        ADD_FAILURE() << "the answer waits";
        return wire;
      }
    }
  }

  std::uint64_t seed_ = 0;
  ScriptedProvider provider_{[this](const ChatRequest&, int) {
    return Result<std::vector<ChatEvent>>(wire::random_reply(seed_++, GetParam().options));
  }};
  Metrics metrics_{MetricsOptions{"script", {}, 16, {}}};
  Service service_{provider_, {}, metrics_, nullptr, nullptr};
};

TEST_P(Streams, AStrictReaderFindsNothingWrong) {
  const int streams = 2500 * soak_scale();
  for (int i = 0; i < streams; ++i) {
    const HttpBody body =
        read_chunks(answer(soak_seed() * 1'000'000 + static_cast<std::uint64_t>(i)));
    const auto reader = GetParam().reader();
    reader->push(body.data);
    ASSERT_TRUE(body.ended) << i;
    ASSERT_EQ(reader->violation(), "") << i << "\n" << body.data;
    ASSERT_TRUE(reader->complete()) << i << "\n" << body.data;
  }
}

// Complete is what has the format's terminator and the end of the HTTP body. Cut before either at
// any byte, an answer has neither: the terminator comes last in the stream, and the end of the body
// last on the wire.
TEST_P(Streams, CutAtAnyByteNoneIsTakenForComplete) {
  const int streams = 25 * soak_scale();
  for (int i = 0; i < streams; ++i) {
    const std::string wire =
        answer(soak_seed() * 1'000'000 + 500'000 + static_cast<std::uint64_t>(i));
    for (std::size_t cut = 0; cut < wire.size(); ++cut) {
      ASSERT_FALSE(read_chunks(std::string_view(wire).substr(0, cut)).ended) << i << " at " << cut;
    }
    const std::string data = read_chunks(wire).data;
    const auto reader = GetParam().reader();
    for (std::size_t at = 0; at < data.size(); ++at) {
      ASSERT_FALSE(reader->complete()) << i << " at " << at;
      reader->push(std::string_view(data).substr(at, 1));
    }
    EXPECT_TRUE(reader->complete());
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Streams, testing::ValuesIn(protocols()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace plumb
