// A handler and answers that a test directs, for tests of the HTTP server.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "server/http.h"
#include "server/http_server.h"

namespace plumb {

// Asks until `condition` holds; false when it does not for half a minute.
template <class Condition>
bool eventually(Condition condition,
                std::chrono::milliseconds patience = std::chrono::milliseconds(30000)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// What a test tells an answer to do, and what happened to that. Thread-safe; outlives the answer.
class Script {
 public:
  using State = Answer::State;

  // The head becomes known. `length`: of the body, if it is to be declared.
  void begin(HttpHead head = {}, std::int64_t length = -1) {
    change([&] {
      head_ = std::move(head);
      length_ = length;
    });
  }
  // The next pull gives these bytes.
  void give(std::string bytes, State then = State::kWait) {
    change([&] { pieces_.emplace_back(std::move(bytes), then); });
  }
  // Every pull from now on gives `bytes` and says that there is more.
  void flow(std::string bytes) {
    change([&] { flow_ = std::move(bytes); });
  }
  void wake() {
    change([] {});
  }
  // What keep_alive() appends; makes the head known if it is not.
  void keep_alive_with(std::string bytes) {
    const std::lock_guard lock(mutex_);
    keep_alive_ = std::move(bytes);
  }
  std::function<void()> waker() const {
    const std::lock_guard lock(mutex_);
    return wake_;
  }

  std::atomic<bool> alive{false};  // an answer has it
  std::atomic<bool> destroyed{false};
  std::atomic<int> pulls{0}, keep_alives{0}, written{0};
  std::atomic<std::int64_t> destroyed_at{0};  // steady_clock

 private:
  friend class ScriptedAnswer;

  template <class Change>
  void change(Change change) {
    std::function<void()> wake;
    {
      const std::lock_guard lock(mutex_);
      change();
      wake = wake_;
    }
    if (wake) wake();
  }

  mutable std::mutex mutex_;
  std::optional<HttpHead> head_;
  std::int64_t length_ = -1;
  std::deque<std::pair<std::string, State>> pieces_;
  std::string flow_;
  std::string keep_alive_;
  std::function<void()> wake_;
};

class ScriptedAnswer final : public Answer {
 public:
  explicit ScriptedAnswer(std::shared_ptr<Script> script) : script_(std::move(script)) {
    script_->alive = true;
  }
  ~ScriptedAnswer() override {
    script_->destroyed_at = std::chrono::steady_clock::now().time_since_epoch().count();
    script_->destroyed = true;
  }

  const HttpHead* head() const override {
    const std::lock_guard lock(script_->mutex_);
    return script_->head_ ? &*script_->head_ : nullptr;
  }
  std::int64_t length() const override {
    const std::lock_guard lock(script_->mutex_);
    return script_->length_;
  }
  State pull(std::string& out) override {
    const std::lock_guard lock(script_->mutex_);
    ++script_->pulls;
    if (!script_->flow_.empty()) {
      out += script_->flow_;
      return State::kMore;
    }
    if (script_->pieces_.empty() || !script_->head_) return State::kWait;
    auto [bytes, state] = std::move(script_->pieces_.front());
    script_->pieces_.pop_front();
    out += bytes;
    return state == State::kWait && !script_->pieces_.empty() ? State::kMore : state;
  }
  void set_waker(std::function<void()> wake) override {
    const std::lock_guard lock(script_->mutex_);
    script_->wake_ = std::move(wake);
  }
  void keep_alive(std::string& out) override {
    const std::lock_guard lock(script_->mutex_);
    ++script_->keep_alives;
    if (script_->keep_alive_.empty()) return;
    if (!script_->head_) script_->head_ = HttpHead();
    out += script_->keep_alive_;
  }
  void written() override { ++script_->written; }

 private:
  const std::shared_ptr<Script> script_;
};

// Answers "/scripted" by the test's script, everything else by saying what was asked. Thread-safe.
class TestHandler : public HttpHandler {
 public:
  std::size_t max_body = std::size_t{100} << 20;
  std::function<Admission(const HttpRequest&)> on_admit;
  std::function<std::unique_ptr<Answer>(HttpRequest&)> on_handle;

  // The answer to the next request for "/scripted".
  std::shared_ptr<Script> script() {
    const std::lock_guard lock(mutex_);
    scripts_.push_back(std::make_shared<Script>());
    return scripts_.back();
  }
  // The requests handled so far, without their bodies' contents.
  std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  Admission admit(const HttpRequest& head) override {
    if (on_admit) return on_admit(head);
    return {nullptr, max_body};
  }

  std::unique_ptr<Answer> handle(HttpRequest request) override {
    if (on_handle) {
      if (auto answer = on_handle(request)) return answer;
    }
    std::string echo = str(request.method, " ", request.path, " ", request.body.size(), " ",
                           request.body.substr(0, 100));
    const std::lock_guard lock(mutex_);
    request.body = {};
    requests_.push_back(request);
    if (request.path != "/scripted") {
      return whole_answer({200, {{"Content-Type", "text/plain"}}}, std::move(echo));
    }
    PLUMB_CHECK(!scripts_.empty());
    auto answer = std::make_unique<ScriptedAnswer>(scripts_.front());
    scripts_.pop_front();
    return answer;
  }

  std::unique_ptr<Answer> refuse(int status, const std::string& message,
                                 const HttpRequest& head) override {
    return whole_answer({status, {{"X-Path", head.path}}}, message);
  }

 private:
  mutable std::mutex mutex_;
  std::deque<std::shared_ptr<Script>> scripts_;
  std::vector<HttpRequest> requests_;
};

// A server on a free port of 127.0.0.1. What is not set in `options` is the server's default.
inline std::unique_ptr<HttpServer> serve(HttpHandler& handler, HttpServerOptions options = {}) {
  options.port = 0;
  auto server = HttpServer::listen(options, handler);
  PLUMB_CHECK(server.has_value());
  return std::move(*server);
}

}  // namespace plumb
