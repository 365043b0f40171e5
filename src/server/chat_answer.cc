#include "server/chat_answer.h"

#include <atomic>
#include <utility>

#include "base/strings.h"
#include "gateway/wire/sse.h"

namespace plumb {
namespace {

constexpr std::size_t kPullBytes = 64 << 10;  // then the socket is asked first

// A reply that does not end by itself is not a reply.
std::optional<wire::Refusal> broken_off(const Finished& finished) {
  switch (finished.reason) {
    case FinishReason::kStop:
    case FinishReason::kLength:
      return std::nullopt;
    case FinishReason::kDeadline:
      return wire::Refusal{
          504, "The time for this request was over before the reply was.", "", "timeout", {}};
    case FinishReason::kCancelled:
      return wire::Refusal{
          503, "The server stopped before the reply was complete.", "", "unavailable", {}};
    case FinishReason::kFailed:
      break;
  }
  return wire::refusal_of(finished.error.value_or(Error{Code::kInternal, "The engine failed."}));
}

// When a producer last said that there is something, for an answer that had nothing.
class Bell {
 public:
  explicit Bell(std::function<Moment()> clock) : clock_(std::move(clock)) {}
  void ring() {
    Moment none{};
    first_.compare_exchange_strong(none, clock_());
  }
  Moment take() { return first_.exchange(Moment{}); }

 private:
  std::function<Moment()> clock_;
  std::atomic<Moment> first_{Moment{}};
};

class ChatAnswer final : public Answer {
 public:
  ChatAnswer(std::vector<std::unique_ptr<ChatStream>> streams,
             std::unique_ptr<wire::ReplyWriter> writer, ChatAnswerOptions options)
      : streams_(std::move(streams)),
        writer_(std::move(writer)),
        options_(std::move(options)),
        bell_(std::make_shared<Bell>(options_.clock)),
        running_(streams_.size()) {
    for (const auto& stream : streams_) prompt_tokens_ += stream->prompt_tokens();
    outcome_.cached.resize(streams_.size());
  }

  ~ChatAnswer() override {
    if (!over_) {
      for (const auto& stream : streams_) {
        if (stream) outcome_.reasons.push_back(FinishReason::kCancelled);
      }
    }
    streams_.clear();  // cancels
    report(CallOutcome::End::kAborted);
  }

  const HttpHead* head() const override { return head_known_ ? &head_ : nullptr; }
  std::int64_t length() const override { return length_; }

  State pull(std::string& out) override {
    if (over_) return State::kEnd;
    const std::size_t before = out.size();
    const State state = take_events(out);
    if (state == State::kEnd) over_ = true;
    if (options_.keep_body) outcome_.body.append(out, before);
    if (state == State::kEnd)
      report(outcome_.refusal ? CallOutcome::End::kFailed : CallOutcome::End::kComplete);
    return state;
  }

  void set_waker(std::function<void()> wake) override {
    for (const auto& stream : streams_) {
      if (!stream) continue;
      stream->set_waker([bell = bell_, wake] {
        bell->ring();
        wake();
      });
    }
  }

  void keep_alive(std::string& out) override {
    if (over_) return;
    if (!head_known_) begin_head(200);
    if (options_.stream) {
      out += wire::kSseKeepAlive;
    } else {
      out += '\n';  // white space before JSON
    }
  }

  void written() override {
    if (announced_ == Moment{}) return;
    if (options_.token_written) options_.token_written(announced_, options_.clock());
    announced_ = Moment{};
  }

 private:
  void begin_head(int status) {
    head_known_ = true;
    head_.status = outcome_.status = status;
    head_.headers = options_.headers;
    const bool events = options_.stream && status == 200;
    head_.headers.emplace_back("Content-Type",
                               events ? "text/event-stream; charset=utf-8" : "application/json");
    if (!events) return;
    head_.headers.emplace_back("Cache-Control", "no-cache");
    head_.headers.emplace_back("X-Accel-Buffering", "no");  // a proxy must not wait for more
  }

  State take_events(std::string& out) {
    const std::size_t before = out.size();
    for (bool found = true; found && running_ > 0;) {
      found = false;
      // A ring that brought no token (progress, text that is held back, something taken before it
      // rang) must not count for the next one.
      rung_ = bell_->take();
      for (std::size_t i = 0; i < streams_.size(); ++i) {
        if (!streams_[i]) continue;
        std::optional<ChatEvent> event = streams_[i]->try_next();
        if (!event) continue;
        found = true;
        if (!take(static_cast<int>(i), *event, out)) return State::kEnd;
        if (options_.stream && out.size() - before >= kPullBytes) return State::kMore;
      }
    }
    if (running_ > 0) return State::kWait;
    open(out);
    writer_->end(out);
    if (!head_known_) {
      begin_head(200);
      length_ = static_cast<std::int64_t>(out.size() - before);
    }
    return State::kEnd;
  }

  // false: the reply broke off.
  bool take(int choice, ChatEvent& event, std::string& out) {
    if (auto* finished = std::get_if<Finished>(&event)) {
      outcome_.reasons.push_back(finished->reason);
      if (finished->usage.brake != Brake::kNone) outcome_.brakes.push_back(finished->usage.brake);
      add_usage(finished->usage);
      outcome_.cached[static_cast<std::size_t>(choice)] = finished->usage.cached;
      if (auto refusal = broken_off(*finished)) {
        break_off(std::move(*refusal), out);
        return false;
      }
    } else if (std::holds_alternative<ReplyDelta>(event)) {
      note_token();
    }
    open(out);
    // How often progress is reported depends on the load; what is written does not.
    if (std::holds_alternative<PromptProgress>(event)) return true;
    note_order(choice);
    writer_->take(choice, event, out);
    if (!std::holds_alternative<Finished>(event)) return true;
    streams_[static_cast<std::size_t>(choice)].reset();
    --running_;
    return true;
  }

  void note_token() {
    const Moment now = options_.clock();
    if (options_.token_taken) options_.token_taken(last_token_, now);
    last_token_ = now;
    if (announced_ == Moment{}) announced_ = rung_;
  }

  // The writer's first word; once.
  void open(std::string& out) {
    if (opened_) return;
    opened_ = true;
    if (options_.stream && !head_known_) begin_head(200);
    writer_->start(prompt_tokens_, out);
  }

  void break_off(wire::Refusal refusal, std::string& out) {
    for (auto& stream : streams_) stream.reset();
    running_ = 0;
    const bool told = head_known_;
    if (!told) begin_head(refusal.status);
    if (told && options_.stream) {
      open(out);
      writer_->fail(refusal, out);
    } else {
      const std::string body = options_.format->refusal_body(refusal, options_.request_id);
      if (!told) length_ = static_cast<std::int64_t>(body.size());
      out += body;
    }
    outcome_.refusal = std::move(refusal);
  }

  void note_order(int choice) {
    if (outcome_.order.empty() || outcome_.order.back().first != choice)
      outcome_.order.emplace_back(choice, 0);
    ++outcome_.order.back().second;
  }

  void add_usage(const Usage& u) {
    Usage& sum = outcome_.usage;
    sum.prompt += u.prompt;
    sum.cached += u.cached;
    sum.completion += u.completion;
    sum.reasoning += u.reasoning;
    sum.drafted += u.drafted;
    sum.accepted += u.accepted;
    sum.queue_ms = std::max(sum.queue_ms, u.queue_ms);
    sum.prompt_ms = std::max(sum.prompt_ms, u.prompt_ms);
    sum.decode_ms = std::max(sum.decode_ms, u.decode_ms);
  }

  void report(CallOutcome::End end) {
    if (!options_.done) return;
    outcome_.end = end;
    const auto done = std::exchange(options_.done, nullptr);
    done(outcome_);
  }

  std::vector<std::unique_ptr<ChatStream>> streams_;  // null: finished
  std::unique_ptr<wire::ReplyWriter> writer_;
  ChatAnswerOptions options_;
  std::shared_ptr<Bell> bell_;
  std::size_t running_;
  int prompt_tokens_ = 0;
  HttpHead head_;
  bool head_known_ = false, opened_ = false, over_ = false;
  std::int64_t length_ = -1;
  std::optional<Moment> last_token_;
  Moment rung_{};       // before the events that are being taken; none: the epoch
  Moment announced_{};  // of the oldest token not yet written
  CallOutcome outcome_;
};

}  // namespace

std::unique_ptr<Answer> chat_answer(std::vector<std::unique_ptr<ChatStream>> streams,
                                    std::unique_ptr<wire::ReplyWriter> writer,
                                    ChatAnswerOptions options) {
  return std::make_unique<ChatAnswer>(std::move(streams), std::move(writer), std::move(options));
}

std::unique_ptr<Answer> refusal_answer(const wire::Refusal& refusal, const wire::Format& format,
                                       HttpHeaders headers, const std::string& request_id) {
  HttpHead head{refusal.status, std::move(headers)};
  head.headers.emplace_back("Content-Type", "application/json");
  if (refusal.retry_after_s)
    head.headers.emplace_back("Retry-After", std::to_string(*refusal.retry_after_s));
  return whole_answer(std::move(head), format.refusal_body(refusal, request_id));
}

}  // namespace plumb
