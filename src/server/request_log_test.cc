#include "server/request_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/temp_dir_for_tests.h"

namespace plumb {
namespace {

const ServedFacts kFacts = {"f1f2", "t1t2", "fast@avx2", "0.1.0 (abc)", "c1c2"};

RequestRecord full_record() {
  RequestRecord out;
  out.received = std::chrono::system_clock::time_point(std::chrono::milliseconds(1793862489250));
  out.request_id = "req_1";
  out.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  out.route = "/v1/chat/completions";
  out.format = "openai.chat";
  out.operation = Operation::kChat;
  out.model_asked = "gpt-4o";
  out.model = "minnow";
  out.key = "alice";
  out.peer = "192.0.2.1";
  out.body_bytes = 321;
  out.stream = true;
  out.seed = 18446744073709551615u;
  out.ignored = {"messages[].foo", "user"};
  out.status = 200;
  out.queued = true;
  out.usage.prompt = 100;
  out.usage.cached = 64;
  out.usage.completion = 20;
  out.usage.reasoning = 5;
  out.usage.queue_ms = 1.23456789;
  out.usage.prompt_ms = 50.5;
  out.usage.decode_ms = 200;
  out.finished = {FinishReason::kStop, FinishReason::kLength};
  out.first_token_ms = 60.25;
  out.total_ms = 260.75;
  out.body = "{\"messages\":[]}";
  out.answer = "Hello";
  return out;
}

RequestRecord named(int number) {
  RequestRecord out;
  out.route = "/v1/models";
  out.status = 200;
  out.request_id = str("req_", number);
  return out;
}

RequestLogOptions to(const std::filesystem::path& path) {
  RequestLogOptions out;
  out.path = path.string();
  return out;
}

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    auto parsed = parse_json(line, "line");
    EXPECT_TRUE(parsed) << line;
    if (parsed) out.push_back(std::move(*parsed));
  }
  return out;
}

std::vector<std::string> ids_of(const std::string& text) {
  std::vector<std::string> out;
  for (const Json& line : lines_of(text)) {
    if (const Json* id = line.find("request_id")) out.push_back(id->text());
  }
  return out;
}

std::string contents(const std::filesystem::path& path) {
  auto text = read_file(path);
  EXPECT_TRUE(text) << text.error().message;
  return *text;
}

TEST(RequestLog, ALineSaysAllThatIsKnown) {
  EXPECT_EQ(log_line(full_record(), kFacts, false),
            R"({"time":"2026-11-05T07:08:09.250Z","request_id":"req_1",)"
            R"("trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","peer":"192.0.2.1","key":"alice",)"
            R"("route":"/v1/chat/completions","format":"openai.chat","model_asked":"gpt-4o",)"
            R"("model":"minnow","status":200,"stream":true,"body_bytes":321,"prompt_tokens":100,)"
            R"("cached_tokens":64,"completion_tokens":20,"reasoning_tokens":5,"queue_ms":1.235,)"
            R"("prompt_ms":50.5,"decode_ms":200.0,"finish_reasons":["stop","length"],)"
            R"("seed":18446744073709551615,"weights":"f1f2","tokenizer":"t1t2",)"
            R"("numerics":"fast@avx2","first_token_ms":60.25,"total_ms":260.75,)"
            R"+("ignored":["messages[].foo","user"],"build":"0.1.0 (abc)","config":"c1c2"})+"
            "\n");
}

TEST(RequestLog, WhatDoesNotApplyIsLeftOut) {
  RequestRecord refused;
  refused.request_id = "req_2";
  refused.trace_id = "aa";
  refused.route = "/v1/messages";
  refused.format = "anthropic";
  refused.operation = Operation::kChat;
  refused.status = 429;
  refused.refused = RefusalCause::kRateLimit;
  refused.error = "Too \"much\".";
  EXPECT_EQ(log_line(refused, {}, false),
            R"({"time":"1970-01-01T00:00:00.000Z","request_id":"req_2","trace_id":"aa",)"
            R"("route":"/v1/messages","format":"anthropic","status":429,"stream":false,)"
            R"("body_bytes":0,"total_ms":0.0,"refused":"rate_limit","error":"Too \"much\"."})"
            "\n");
  RequestRecord aborted = full_record();
  aborted.aborted = AbortCause::kClientGone;
  EXPECT_NE(log_line(aborted, {}, false).find(R"("aborted":"client_gone")"), std::string::npos);
}

TEST(RequestLog, NoPromptAndNoAnswerUnlessAskedFor) {
  const RequestRecord record = full_record();
  const std::string without = log_line(record, kFacts, false);
  EXPECT_EQ(without.find("Hello"), std::string::npos);
  EXPECT_EQ(without.find("messages\\\""), std::string::npos);
  const auto with = parse_json(log_line(record, kFacts, true), "line");
  ASSERT_TRUE(with);
  EXPECT_EQ(with->find("body")->text(), record.body);
  EXPECT_EQ(with->find("answer")->text(), "Hello");
}

TEST(RequestLog, ALineIsOneLineOfJsonWhateverClientsSend) {
  RequestRecord record = full_record();
  record.error = "The path \"\xff\n\x01\" is unknown.";
  record.model_asked = "a\nb\xc3";
  record.body = std::string("\0\xfe\r\n", 4);
  const std::string line = log_line(record, kFacts, true);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto parsed = parse_json(line, "line");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->find("model_asked")->text(), "a\nb\xef\xbf\xbd");
}

TEST(RequestLog, LinesAreAppendedInOrder) {
  TempDir dir;
  for (int round = 0; round < 2; ++round) {
    auto log = RequestLog::open(to(dir / "log"), kFacts);
    ASSERT_TRUE(log) << log.error().message;
    for (int i = 0; i < 100; ++i) (*log)->write(named(round * 100 + i));
    EXPECT_EQ((*log)->lost(), 0u);
  }
  const auto ids = ids_of(contents(dir / "log"));
  ASSERT_EQ(ids.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(ids[static_cast<std::size_t>(i)], str("req_", i));
}

TEST(RequestLog, ALogOfErrorsLeavesOutWhatWentWell) {
  TempDir dir;
  RequestLogOptions options = to(dir / "log");
  options.level = LogLevel::kErrors;
  {
    auto log = RequestLog::open(options, kFacts);
    ASSERT_TRUE(log);
    const auto write = [&](int number, auto change) {
      RequestRecord record = named(number);
      change(record);
      (*log)->write(record);
    };
    write(0, [](auto&) {});
    write(1, [](auto& r) { r.status = 400; });
    write(2, [](auto& r) { r.status = 399; });
    write(3, [](auto& r) { r.aborted = AbortCause::kDeadline; });
    write(4, [](auto& r) { r.refused = RefusalCause::kInvalid; });
    write(5, [](auto& r) { r.status = 0; });
  }
  EXPECT_EQ(ids_of(contents(dir / "log")),
            (std::vector<std::string>{"req_1", "req_3", "req_4", "req_5"}));
}

TEST(RequestLog, WithoutAPathNothingIsWritten) {
  RequestLogOptions options;
  options.path = "";
  options.content = true;
  auto log = RequestLog::open(options, kFacts);
  ASSERT_TRUE(log);
  (*log)->write(named(1));
  EXPECT_FALSE((*log)->wants_content());
  EXPECT_TRUE((*log)->reopen());
  EXPECT_EQ((*log)->lost(), 0u);
}

TEST(RequestLog, WantsContentOnlyWhenItWasSwitchedOn) {
  TempDir dir;
  RequestLogOptions options = to(dir / "log");
  EXPECT_FALSE((*RequestLog::open(options, kFacts))->wants_content());
  options.content = true;
  EXPECT_TRUE((*RequestLog::open(options, kFacts))->wants_content());
}

TEST(RequestLog, GoesToStandardErrorAsWell) {
  testing::internal::CaptureStderr();
  {
    auto log = RequestLog::open({}, kFacts);
    ASSERT_TRUE(log);
    (*log)->write(named(7));
    EXPECT_TRUE((*log)->reopen());
    (*log)->write(named(8));
  }
  EXPECT_EQ(ids_of(testing::internal::GetCapturedStderr()),
            (std::vector<std::string>{"req_7", "req_8"}));
}

TEST(RequestLog, AFileThatCannotBeOpenedIsNamed) {
  TempDir dir;
  const auto log = RequestLog::open(to(dir / "missing" / "log"), kFacts);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, Code::kNotFound);
  EXPECT_NE(log.error().message.find("missing/log"), std::string::npos);
}

TEST(RequestLog, GoesOnInANewFileAfterTheOldOneWasRenamed) {
  TempDir dir;
  const auto path = dir / "log";
  {
    auto log = RequestLog::open(to(path), kFacts);
    ASSERT_TRUE(log);
    (*log)->write(named(1));
    while (ids_of(contents(path)).empty()) std::this_thread::yield();
    std::filesystem::rename(path, dir / "log.1");
    (*log)->write(named(2));  // still to the old one
    while (ids_of(contents(dir / "log.1")).size() < 2) std::this_thread::yield();
    ASSERT_TRUE((*log)->reopen());
    (*log)->write(named(3));
  }
  EXPECT_EQ(ids_of(contents(dir / "log.1")), (std::vector<std::string>{"req_1", "req_2"}));
  EXPECT_EQ(ids_of(contents(path)), (std::vector<std::string>{"req_3"}));
}

TEST(RequestLog, KeepsTheOldFileWhenANewOneCannotBeOpened) {
  TempDir dir;
  const auto path = dir / "log";
  {
    auto log = RequestLog::open(to(path), kFacts);
    ASSERT_TRUE(log);
    std::filesystem::rename(path, dir / "log.1");
    std::filesystem::create_directory(path);
    const Status reopened = (*log)->reopen();
    EXPECT_FALSE(reopened);
    (*log)->write(named(1));
  }
  EXPECT_EQ(ids_of(contents(dir / "log.1")), (std::vector<std::string>{"req_1"}));
}

// A full disk is no reason to stop, and no reason to be silent.
TEST(RequestLog, LinesThatCannotBeWrittenAreCounted) {
  TempDir dir;
  const auto path = dir / "log";
  std::filesystem::create_symlink("/dev/full", path);
  {
    auto log = RequestLog::open(to(path), kFacts);
    ASSERT_TRUE(log) << log.error().message;
    for (int i = 0; i < 3; ++i) (*log)->write(named(i));
    while ((*log)->lost() < 3) std::this_thread::yield();
    std::filesystem::remove(path);
    ASSERT_TRUE((*log)->reopen());
    (*log)->write(named(3));
    EXPECT_EQ((*log)->lost(), 3u);
  }
  const auto lines = lines_of(contents(path));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].find("lost_lines")->as_int(), 3);
  EXPECT_EQ(lines[1].find("request_id")->text(), "req_3");
}

// The reading end of a named pipe that nobody reads until drain().
class SlowReader {
 public:
  explicit SlowReader(const std::filesystem::path& path) {
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    fd_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(fd_, 0);
  }
  ~SlowReader() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // What comes until the writer closes.
  std::string drain() {
    EXPECT_EQ(::fcntl(fd_, F_SETFL, 0), 0);
    std::string out;
    char buffer[4096];
    for (ssize_t n; (n = ::read(fd_, buffer, sizeof buffer)) > 0;) {
      out.append(buffer, static_cast<std::size_t>(n));
    }
    return out;
  }

 private:
  int fd_ = -1;
};

TEST(RequestLog, ASlowDiskLosesLinesAndHoldsUpNobody) {
  TempDir dir;
  const auto path = dir / "pipe";
  SlowReader reader(path);
  RequestLogOptions options = to(path);
  options.max_queue_bytes = 4096;
  auto log = RequestLog::open(options, kFacts);
  ASSERT_TRUE(log) << log.error().message;
  constexpr int kLines = 5000;  // far more than a pipe and the queue hold
  for (int i = 0; i < kLines; ++i) (*log)->write(named(i));
  const std::uint64_t lost = (*log)->lost();
  EXPECT_GT(lost, 1000u);
  std::string read;
  std::thread draining([&] { read = reader.drain(); });
  log->reset();
  draining.join();
  std::uint64_t reported = 0, written = 0;
  for (const Json& line : lines_of(read)) {
    if (const Json* lines = line.find("lost_lines")) {
      reported += static_cast<std::uint64_t>(*lines->as_int());
    } else {
      ++written;
    }
  }
  EXPECT_EQ(written + reported, static_cast<std::uint64_t>(kLines));
  EXPECT_EQ(reported, lost);
}

TEST(RequestLog, ALineLongerThanTheQueueGoesAlone) {
  TempDir dir;
  RequestLogOptions options = to(dir / "log");
  options.max_queue_bytes = 10;
  {
    auto log = RequestLog::open(options, kFacts);
    ASSERT_TRUE(log);
    (*log)->write(named(1));
  }
  EXPECT_EQ(ids_of(contents(dir / "log")), (std::vector<std::string>{"req_1"}));
}

TEST(RequestLog, AReaderThatGoesAwayEndsNothing) {
  TempDir dir;
  const auto path = dir / "pipe";
  SlowReader reader(path);
  auto log = RequestLog::open(to(path), kFacts);
  ASSERT_TRUE(log);
  reader.close();
  (*log)->write(named(1));
  while ((*log)->lost() < 1) std::this_thread::yield();
  EXPECT_EQ((*log)->lost(), 1u);
}

TEST(RequestLog, ThreadsWriteWholeLines) {
  TempDir dir;
  {
    auto log = RequestLog::open(to(dir / "log"), kFacts);
    ASSERT_TRUE(log);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 250; ++i) {
          (*log)->write(named(t * 250 + i));
          if (i % 50 == 0) {
            EXPECT_TRUE((*log)->reopen());
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const auto ids = ids_of(contents(dir / "log"));
  EXPECT_EQ(ids.size(), 1000u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 1000u);
}

}  // namespace
}  // namespace plumb
