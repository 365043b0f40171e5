#include "server/request_log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "server/time_text.h"

namespace plumb {
namespace {

// Paths and peers are not checked for UTF-8 by those who send them.
Json text(std::string_view value) { return Json::string(replace_invalid_utf8(value)); }

// Microseconds are as fine as a log needs.
Json milliseconds(double ms) { return Json::real(std::round(ms * 1000) / 1000); }

void set_text(Json& line, const char* key, std::string_view value) {
  if (!value.empty()) line.set(key, text(value));
}

void add_request(const RequestRecord& record, Json& line) {
  line.set("time", Json::string(rfc3339_milliseconds(record.received)));
  set_text(line, "request_id", record.request_id);
  set_text(line, "trace_id", record.trace_id);
  set_text(line, "peer", record.peer);
  set_text(line, "key", record.key);
  set_text(line, "route", record.route);
  set_text(line, "format", record.format);
  set_text(line, "model_asked", record.model_asked);
  set_text(line, "model", record.model);
  line.set("status", Json::integer(record.status));
  if (record.operation != Operation::kNone) line.set("stream", Json::boolean(record.stream));
  line.set("body_bytes", Json::number(std::to_string(record.body_bytes)));
}

void add_generation(const RequestRecord& record, const ServedFacts& facts, Json& line) {
  const Usage& usage = record.usage;
  line.set("prompt_tokens", Json::integer(usage.prompt));
  line.set("cached_tokens", Json::integer(usage.cached));
  line.set("completion_tokens", Json::integer(usage.completion));
  line.set("reasoning_tokens", Json::integer(usage.reasoning));
  line.set("queue_ms", milliseconds(usage.queue_ms));
  line.set("prompt_ms", milliseconds(usage.prompt_ms));
  line.set("decode_ms", milliseconds(usage.decode_ms));
  std::vector<Json> reasons;
  for (const FinishReason reason : record.finished) reasons.push_back(text(to_string(reason)));
  line.set("finish_reasons", Json::array(std::move(reasons)));
  std::vector<Json> brakes;
  for (const Brake brake : record.brakes) brakes.push_back(text(to_string(brake)));
  if (!brakes.empty()) line.set("brakes", Json::array(std::move(brakes)));
  if (record.seed) line.set("seed", Json::number(std::to_string(*record.seed)));
  set_text(line, "weights", facts.fingerprint);
  set_text(line, "tokenizer", facts.tokenizer);
  set_text(line, "numerics", facts.numerics);
}

void add_outcome(const RequestRecord& record, Json& line) {
  if (record.first_token_ms) line.set("first_token_ms", milliseconds(*record.first_token_ms));
  line.set("total_ms", milliseconds(record.total_ms));
  set_text(line, "refused", to_string(record.refused));
  set_text(line, "aborted", to_string(record.aborted));
  set_text(line, "error", record.error);
  if (record.ignored.empty()) return;
  std::vector<Json> names;
  for (const std::string& name : record.ignored) names.push_back(text(name));
  line.set("ignored", Json::array(std::move(names)));
}

bool is_error(const RequestRecord& record) {
  return record.status == 0 || record.status >= 400 || record.refused != RefusalCause::kNone ||
         record.aborted != AbortCause::kNone;
}

// An open file, or stderr, which stays open.
class Sink {
 public:
  Sink(int fd, bool owned) : fd_(fd), owned_(owned) {}
  ~Sink() {
    if (owned_) ::close(fd_);
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  static Result<std::unique_ptr<Sink>> open(const std::string& path) {
    if (path == "-") return std::make_unique<Sink>(STDERR_FILENO, false);
    const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return file_error("open the request log", path, errno);
    return std::make_unique<Sink>(fd, true);
  }

  // false: not all of it was written.
  bool write(std::string_view line) {
    if (torn_ && !write_all("\n")) return false;
    torn_ = false;
    const std::size_t size = line.size();
    if (write_all(line)) return true;
    torn_ = line.size() < size;
    return false;
  }

 private:
  // Leaves in `bytes` what was not written.
  bool write_all(std::string_view& bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
      if (n >= 0 || errno == EINTR) continue;
      if (errno != EAGAIN) return false;
      pollfd ready{fd_, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    }
    return true;
  }
  bool write_all(std::string_view&& bytes) { return write_all(bytes); }

  const int fd_;
  const bool owned_;
  bool torn_ = false;  // the last line ended in its middle
};

std::string loss_line(std::uint64_t lines) {
  Json line = Json::object();
  line.set("time", Json::string(rfc3339_milliseconds(std::chrono::system_clock::now())));
  line.set("lost_lines", Json::number(std::to_string(lines)));
  return line.dump() + "\n";
}

}  // namespace

std::string log_line(const RequestRecord& record, const ServedFacts& facts, bool content) {
  Json line = Json::object();
  add_request(record, line);
  if (record.queued) add_generation(record, facts, line);
  add_outcome(record, line);
  set_text(line, "build", facts.build);
  set_text(line, "config", facts.config_digest);
  if (content) {
    set_text(line, "body", record.body);
    set_text(line, "answer", record.answer);
  }
  return line.dump() + "\n";
}

struct RequestLog::Impl {
  Impl(RequestLogOptions given, ServedFacts served, std::unique_ptr<Sink> opened)
      : options(std::move(given)), facts(std::move(served)), sink(std::move(opened)) {
    if (sink) writer = std::thread([this] { run(); });
  }
  ~Impl() {
    if (!writer.joinable()) return;
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_one();
    writer.join();
  }

  void push(std::string line) {
    {
      const std::lock_guard lock(mutex);
      // A line that is longer than the queue may go alone.
      if (waiting_bytes > 0 && waiting_bytes + line.size() > options.max_queue_bytes) {
        ++lost;
        return;
      }
      waiting_bytes += line.size();
      queue.push_back(std::move(line));
    }
    changed.notify_one();
  }

  void run() {
    // Signals are other threads' business; a pipe that closed is an error of write().
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    while (std::optional<std::string> line = next()) {
      report_loss();
      bool written = false;
      {
        const std::lock_guard lock(sink_mutex);
        written = sink->write(*line);
      }
      const std::lock_guard lock(mutex);
      waiting_bytes -= line->size();
      if (!written) ++lost;
    }
    report_loss();
  }

  // Waits; nullopt: stopping and nothing is left.
  std::optional<std::string> next() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !queue.empty() || stopping; });
    if (queue.empty()) return std::nullopt;
    std::string line = std::move(queue.front());
    queue.pop_front();
    return line;
  }

  void report_loss() {
    std::uint64_t lines = 0;
    {
      const std::lock_guard lock(mutex);
      lines = lost - reported;
    }
    if (lines == 0) return;
    bool written = false;
    {
      const std::lock_guard lock(sink_mutex);
      written = sink->write(loss_line(lines));
    }
    if (!written) return;
    const std::lock_guard lock(mutex);
    reported += lines;
  }

  const RequestLogOptions options;
  const ServedFacts facts;
  std::mutex sink_mutex;  // held while the disk is slow
  std::unique_ptr<Sink> sink;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> queue;
  std::size_t waiting_bytes = 0;  // of the queue and of the line being written
  std::uint64_t lost = 0, reported = 0;
  bool stopping = false;
  std::thread writer;
};

Result<std::unique_ptr<RequestLog>> RequestLog::open(const RequestLogOptions& options,
                                                     const ServedFacts& facts) {
  std::unique_ptr<Sink> sink;
  if (!options.path.empty()) {
    PLUMB_TRY(opened, Sink::open(options.path));
    sink = std::move(opened);
  }
  auto impl = std::make_unique<Impl>(options, facts, std::move(sink));
  return std::unique_ptr<RequestLog>(new RequestLog(std::move(impl)));
}

RequestLog::RequestLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RequestLog::~RequestLog() = default;

bool RequestLog::wants_content() const {
  return impl_->writer.joinable() && impl_->options.content;
}

void RequestLog::write(const RequestRecord& record) {
  if (!impl_->writer.joinable()) return;
  if (impl_->options.level == LogLevel::kErrors && !is_error(record)) return;
  impl_->push(log_line(record, impl_->facts, impl_->options.content));
}

Status RequestLog::reopen() {
  if (!impl_->writer.joinable()) return {};
  PLUMB_TRY(opened, Sink::open(impl_->options.path));
  const std::lock_guard lock(impl_->sink_mutex);
  std::swap(impl_->sink, opened);
  return {};
}

std::uint64_t RequestLog::lost() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->lost;
}

}  // namespace plumb
