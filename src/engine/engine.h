// The engine and its thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "cache/state_pool.h"
#include "engine/engine_core.h"
#include "engine/request.h"
#include "model/language_model.h"

namespace plumb {

// A running request. Destroying it cancels the work. Thread-compatible.
class Generation {
 public:
  explicit Generation(std::shared_ptr<Mailbox> mail) : mail_(std::move(mail)) {}
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // GenerationEnd comes once, last; then the channel is closed.
  Channel<GenerationEvent>& events() { return mail_->events; }
  // Ends the answer before the next step; the end still comes, with kCancelled.
  void cancel() { mail_->cancelled.store(true, std::memory_order_relaxed); }

 private:
  std::shared_ptr<Mailbox> mail_;
};

// Owns the one thread that touches model and cache. Thread-safe.
class Engine {
 public:
  // Model and pool (the model is attached to it) must outlive the engine and are its thread's from
  // here on.
  static Result<std::unique_ptr<Engine>> start(LanguageModel& model, StatePool& pool,
                                               const EngineOptions& options);
  virtual ~Engine() = default;  // running requests end with kCancelled; then joins

  // kExhausted: the queue is full. kTooLong: the request cannot fit. kInvalid: it makes no sense.
  // kUnavailable: the engine has failed.
  virtual Result<std::unique_ptr<Generation>> submit(GenerateRequest request) = 0;
  virtual EngineStats stats() const = 0;
  virtual bool healthy() const = 0;  // false for good after a failure of the device
  virtual const ModelInfo& model() const = 0;
  virtual Pos context() const = 0;  // tokens that prompt and answer may have together

  // A session's state between requests, see GenerateRequest::session. These block while the engine
  // finishes its step; errors as in EngineCore.
  virtual Result<std::vector<std::byte>> save_session(const std::string& name) = 0;
  virtual Result<Pos> load_session(const std::string& name, std::span<const std::byte> bytes) = 0;
  virtual void drop_session(const std::string& name) = 0;
};

}  // namespace plumb
