#include "engine/engine.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

namespace plumb {
namespace {

class ThreadedEngine final : public Engine {
 public:
  ThreadedEngine(LanguageModel& model, StatePool& pool, const EngineOptions& options)
      : core_(model, pool, options),
        info_(model.info()),
        limits_(limits_of(info_, pool, options)),
        max_queue_(options.max_queue),
        stats_(core_.stats()),
        thread_([this](std::stop_token stop) { run(stop); }) {}

  ~ThreadedEngine() override {
    thread_.request_stop();
    thread_.join();
  }

  Result<std::unique_ptr<Generation>> submit(GenerateRequest request) override;
  EngineStats stats() const override;
  bool healthy() const override { return healthy_.load(); }
  const ModelInfo& model() const override { return info_; }
  Pos context() const override { return limits_.context; }

  Result<std::vector<std::byte>> save_session(const std::string& name) override {
    return ask<Result<std::vector<std::byte>>>([&] { return core_.save_session(name); });
  }
  Result<Pos> load_session(const std::string& name, std::span<const std::byte> bytes) override {
    return ask<Result<Pos>>([&] { return core_.load_session(name, bytes); });
  }
  void drop_session(const std::string& name) override {
    static_cast<void>(ask<bool>([&] {
      core_.drop_session(name);
      return true;
    }));
  }

 private:
  using Command = std::function<void()>;

  // Runs `question` on the engine thread and waits for its answer.
  template <class Answer, class Question>
  Answer ask(Question question) {
    std::promise<Answer> promise;
    std::future<Answer> answer = promise.get_future();
    post([&] { promise.set_value(question()); });
    return answer.get();
  }

  void post(Command command) {
    {
      const std::lock_guard lock(mutex_);
      inbox_.push_back(std::move(command));
    }
    work_.notify_one();
  }

  void run(std::stop_token stop);

  EngineCore core_;  // the thread's own
  const ModelInfo info_;
  const EngineLimits limits_;
  const int max_queue_;
  std::atomic<bool> healthy_{true};

  mutable std::mutex mutex_;
  std::condition_variable_any work_;
  std::vector<Command> inbox_;
  int submitted_ = 0;  // requests in inbox_
  EngineStats stats_;  // as of the last step
  Error failure_;      // once healthy_ is false

  std::jthread thread_;  // last: it starts when everything else is there
};

Result<std::unique_ptr<Generation>> ThreadedEngine::submit(GenerateRequest request) {
  PLUMB_TRY_STATUS(check_request(request, limits_));
  auto mail = make_mailbox(request, limits_.context);
  // std::function wants copyable captures; the request is not.
  auto carried = std::make_shared<GenerateRequest>(std::move(request));
  {
    const std::lock_guard lock(mutex_);
    if (!healthy_) return Error{Code::kUnavailable, "The engine has failed: " + failure_.message};
    const int waiting = stats_.running + stats_.waiting + submitted_ - stats_.slots;
    if (waiting >= max_queue_) {
      return Error{Code::kExhausted, "The queue is full: " + std::to_string(waiting) +
                                         " requests wait, at most " + std::to_string(max_queue_) +
                                         " may."};
    }
    ++submitted_;
    inbox_.push_back([this, mail, carried] { core_.add(std::move(*carried), mail); });
  }
  work_.notify_one();
  return std::make_unique<Generation>(std::move(mail));
}

EngineStats ThreadedEngine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.waiting += submitted_;
  return stats;
}

void ThreadedEngine::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    std::vector<Command> commands;
    int taken = 0;
    {
      std::unique_lock lock(mutex_);
      if (core_.idle()) work_.wait(lock, stop, [&] { return !inbox_.empty(); });
      commands.swap(inbox_);
      taken = submitted_;
    }
    for (const Command& command : commands) command();
    {
      // Under one lock, so that the queue never looks shorter than it is.
      const std::lock_guard lock(mutex_);
      stats_ = core_.stats();
      submitted_ -= taken;
    }
    if (!healthy_) {  // submitted before the failure was known
      core_.end_all(FinishReason::kFailed, failure_);
      continue;
    }
    const Result<bool> ran = core_.step();
    const std::lock_guard lock(mutex_);
    stats_ = core_.stats();
    if (!ran) {
      failure_ = ran.error();
      healthy_ = false;
    }
  }
  // Whoever still waits for an answer gets one.
  std::vector<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(inbox_);
  }
  for (const Command& command : commands) command();
  core_.end_all(FinishReason::kCancelled, std::nullopt);
}

}  // namespace

Generation::~Generation() {
  cancel();
  mail_->events.close();
}

Result<std::unique_ptr<Engine>> Engine::start(LanguageModel& model, StatePool& pool,
                                              const EngineOptions& options) {
  return std::unique_ptr<Engine>(std::make_unique<ThreadedEngine>(model, pool, options));
}

}  // namespace plumb
