#include "server/connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <ctime>
#include <exception>
#include <mutex>
#include <utility>

#include "server/answer_framing.h"
#include "server/request_reader.h"
#include "server/transport.h"

namespace plumb {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kReadSize = 16 << 10;
// Pipelined bytes that are read ahead, besides a head: beyond them the socket is left to fill up.
constexpr std::size_t kReadAhead = 16 << 10;
// A longer body is handled by a worker: its JSON and its tokens take milliseconds.
constexpr std::size_t kSmallBody = 64 << 10;
// The body of a refused request is read to its end, and the connection lives, up to this length.
constexpr std::size_t kSkippedBody = 64 << 10;
// Bytes per second that a body must arrive with, on average, once body_timeout has passed.
constexpr std::uint64_t kBodyRate = 1024;
// How long a client is listened to that was told goodbye while it still sends. Without it the
// kernel would answer its bytes with a reset, which makes it lose the answer.
constexpr milliseconds kLingerSilence{2000}, kLinger{10000};
constexpr milliseconds kRefuseTime{900};
// An answer that always has more lets others have their turn after so many pulls.
constexpr int kRoundsInARow = 16;

// What an error message about a request may need once the request itself was handed on.
HttpRequest head_of(const HttpRequest& request) {
  HttpRequest head;
  head.method = request.method;
  head.path = request.path;
  head.query = request.query;
  head.peer = request.peer;
  head.received = request.received;
  return head;
}

class HttpConnection final : public Connection,
                             public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(ServerState& server, std::unique_ptr<Transport> transport, std::string peer,
                 Task task)
      : server_(server),
        transport_(std::move(transport)),
        strand_(transport_->executor()),
        event_(strand_),
        reader_(server.options.max_head),
        peer_(std::move(peer)),
        task_(task) {
    if (task_ == Task::kRefuse) last_moment_ = Clock::now() + kRefuseTime;
  }

  void start(Closed closed) override;
  void nudge() override;
  void cut() override;

 private:
  class Waker;
  using State = RequestReader::State;
  enum class Sent : std::uint8_t {
    kGoOn,     // the answer is complete, and the connection is free for another request
    kLast,     // the answer is complete
    kPart,     // it is not, and the connection is closed
    kNothing,  // it broke before its first byte
  };

  // Everything below runs on the strand.
  awaitable<void> run();
  awaitable<bool> shake_hands();
  awaitable<bool> serve_one();
  awaitable<bool> read_head();
  awaitable<bool> read_body();
  awaitable<bool> body_comes();
  awaitable<std::unique_ptr<Answer>> handle();
  awaitable<bool> turn_away(std::unique_ptr<Answer> refusal);
  awaitable<void> refuse(int status, std::string message);
  awaitable<Sent> send(std::unique_ptr<Answer> answer, bool keep_alive);
  awaitable<Sent> pump(Answer& answer, AnswerFraming& framing);
  awaitable<bool> wait_for_more();
  awaitable<bool> write_out(bool last);
  awaitable<void> say_goodbye(bool listen);
  awaitable<void> event(Clock::time_point deadline);

  Answer::State take(Answer& answer, bool silent);
  bool compose(const Answer& answer, AnswerFraming& framing, Answer::State state);
  HttpHandler::Admission admit(const HttpRequest& request);
  std::unique_ptr<Answer> call_handler(HttpRequest request);
  std::unique_ptr<Answer> refusal(int status, const std::string& message, const HttpRequest& head);
  void read_more();
  void write_some();
  void notify();
  void close_now(bool reset);
  bool gone() const { return ended_ || closed_; }
  // Counts a request that did not get its whole answer, unless that was our doing.
  void client_left() { server_.broken += closed_ ? 0 : 1; }

  ServerState& server_;
  const std::unique_ptr<Transport> transport_;
  const asio::any_io_executor strand_;
  asio::steady_timer event_;
  RequestReader reader_;
  const std::string peer_;
  const Task task_;
  Clock::time_point last_moment_ = Clock::time_point::max();  // then it is closed in any case
  Closed on_closed_;

  bool signalled_ = false;  // something happened that event() has not reported yet
  bool shaking_ = true;     // the handshake is under way
  bool reading_ = false;
  bool writing_ = false;
  bool ended_ = false;  // the client sends nothing more
  bool write_failed_ = false;
  bool closed_ = false;    // by ourselves
  bool busy_ = false;      // with a request
  bool was_cut_ = false;   // see Closed
  bool reset_ = false;     // how to close after a part of an answer
  bool woken_ = false;     // by the answer
  bool handling_ = false;  // a worker has the request
  bool said_goodbye_ = false;
  bool first_ = true;  // no request was read yet

  std::array<char, kReadSize> input_;
  Clock::time_point last_read_{}, last_written_{};
  std::string before_, body_, after_;  // what is being written; parts_ is what is left of it
  Transport::Parts parts_;
  std::unique_ptr<Answer> handled_;
};

// The way from an answer, on any thread, to its connection. Knows the connection as long as it
// sends that answer, and may outlive it. Thread-safe.
class HttpConnection::Waker : public std::enable_shared_from_this<Waker> {
 public:
  explicit Waker(HttpConnection& connection) : connection_(&connection) {}

  void wake() {
    const std::lock_guard lock(mutex_);
    if (connection_ == nullptr || under_way_) return;  // one message is enough for many calls
    under_way_ = true;
    asio::post(connection_->strand_, [self = shared_from_this()] { self->arrive(); });
  }

  // On the connection's strand.
  void forget() {
    const std::lock_guard lock(mutex_);
    connection_ = nullptr;
  }

 private:
  // On the connection's strand: it cannot be forgotten meanwhile.
  void arrive() {
    {
      const std::lock_guard lock(mutex_);
      under_way_ = false;
      if (connection_ == nullptr) return;
    }
    connection_->woken_ = true;
    connection_->notify();
  }

  std::mutex mutex_;
  HttpConnection* connection_;
  bool under_way_ = false;
};

void HttpConnection::start(Closed closed) {
  on_closed_ = std::move(closed);
  asio::co_spawn(strand_, run(), [self = shared_from_this()](std::exception_ptr) {
    // An exception (memory) ends this connection only.
    self->close_now(false);
    self->on_closed_(self->was_cut_);
  });
}

void HttpConnection::nudge() {
  asio::post(strand_, [self = shared_from_this()] { self->notify(); });
}

void HttpConnection::cut() {
  asio::post(strand_, [self = shared_from_this()] {
    if (self->closed_) return;
    self->was_cut_ = self->busy_;
    self->close_now(true);
    self->notify();
  });
}

void HttpConnection::notify() {
  signalled_ = true;
  event_.cancel();
}

void HttpConnection::close_now(bool reset) {
  if (closed_) return;
  closed_ = true;
  transport_->close(reset);
}

// Waits until notify() was called since the last time, or until `deadline`.
awaitable<void> HttpConnection::event(Clock::time_point deadline) {
  if (!signalled_) {
    event_.expires_at(std::min(deadline, last_moment_));
    boost::system::error_code ignored;
    co_await event_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  if (Clock::now() >= last_moment_) close_now(true);
  signalled_ = false;
}

awaitable<void> HttpConnection::run() {
  const bool up = co_await shake_hands();
  if (!up) co_return;
  read_more();
  if (task_ == Task::kRefuse) {
    co_await refuse(503, "This server has as many connections as it may have.");
    co_return;
  }
  bool more = true;
  while (more) more = co_await serve_one();
}

awaitable<bool> HttpConnection::shake_hands() {
  const Clock::time_point deadline = Clock::now() + server_.options.head_timeout;
  transport_->handshake([self = shared_from_this()](bool ok, std::size_t) {
    self->shaking_ = false;
    if (!ok) self->ended_ = true;
    self->notify();
  });
  while (shaking_ && !gone() && !server_.draining && Clock::now() < deadline) {
    co_await event(deadline);
  }
  co_return !shaking_ && !gone();
}

// Reads and answers a request. False: it was the last one.
awaitable<bool> HttpConnection::serve_one() {
  const bool whole_head = co_await read_head();
  if (!whole_head) co_return false;
  ++server_.requests;
  HttpRequest& request = reader_.request();
  request.peer = peer_;
  request.received = Clock::now();
  HttpHandler::Admission admission = admit(request);
  if (admission.refusal) {
    const bool more = co_await turn_away(std::move(admission.refusal));
    co_return more;
  }
  reader_.read_body(admission.max_body);
  const bool whole_body = co_await read_body();
  if (!whole_body) co_return false;

  std::unique_ptr<Answer> answer = co_await handle();
  Sent sent = co_await send(std::move(answer), reader_.keep_alive());
  if (sent == Sent::kNothing) co_await refuse(500, "The server failed at this request.");
  busy_ = false;
  if (sent == Sent::kLast) co_await say_goodbye(reader_.kept() > 0);
  if (sent != Sent::kGoOn) co_return false;
  reader_.next();
  read_more();
  co_return true;
}

// True: the head is complete. A client that sends no head in time is told so if it has begun one.
awaitable<bool> HttpConnection::read_head() {
  const HttpServerOptions& options = server_.options;
  // Who connects has something to say; between two requests people think.
  Clock::time_point deadline =
      Clock::now() + (first_ ? options.head_timeout : options.idle_timeout);
  while (reader_.state() == State::kHead) {
    if (reader_.started() && !busy_) {
      busy_ = true;
      deadline = Clock::now() + options.head_timeout;
    }
    if (gone() || (!busy_ && server_.draining)) co_return false;
    if (Clock::now() >= deadline) {
      if (busy_) co_await refuse(408, "The head of the request did not arrive in time.");
      co_return false;
    }
    co_await event(deadline);
  }
  busy_ = true;
  first_ = false;
  if (reader_.state() == State::kHeadDone) co_return true;
  co_await refuse(reader_.status(), reader_.message());
  co_return false;
}

// True: the body is complete, and the connection can go on; else it was told what is wrong.
awaitable<bool> HttpConnection::read_body() {
  if (reader_.state() == State::kBody && reader_.expects_continue() && reader_.http_1_1() &&
      reader_.body_bytes() == 0) {
    before_ = "HTTP/1.1 100 Continue\r\n\r\n";
    body_.clear();
    after_.clear();
    const bool written = co_await write_out(false);
    if (!written) {
      client_left();
      co_return false;
    }
  }
  const bool in_time = co_await body_comes();
  if (reader_.state() == State::kDone) co_return true;
  if (reader_.state() == State::kRefused) {
    co_await refuse(reader_.status(), reader_.message());
  } else if (!in_time) {
    co_await refuse(408, "The body of the request did not arrive in time.");
  } else {
    client_left();
  }
  co_return false;
}

// Until the body is complete, refused, or the client gone. False: it took too long. The time limit
// is one for progress and one for the average rate: otherwise a byte now and then would hold a
// connection for days.
awaitable<bool> HttpConnection::body_comes() {
  const milliseconds patience = server_.options.body_timeout;
  const Clock::time_point begin = Clock::now();
  Clock::time_point progress = begin;
  std::uint64_t seen = reader_.body_bytes();
  while (reader_.state() == State::kBody && !gone()) {
    if (reader_.body_bytes() != seen) {
      seen = reader_.body_bytes();
      progress = Clock::now();
    }
    const Clock::time_point slowest = begin + patience + milliseconds(1000 * seen / kBodyRate);
    const Clock::time_point deadline = std::min(progress + patience, slowest);
    if (Clock::now() >= deadline) co_return false;
    co_await event(deadline);
  }
  co_return true;
}

HttpHandler::Admission HttpConnection::admit(const HttpRequest& request) {
  try {
    return server_.handler.admit(request);
  } catch (...) {
    HttpHandler::Admission refused;
    refused.refusal = refusal(500, "The server failed at this request.", request);
    return refused;
  }
}

// Thread-safe. nullptr: even that failed, and the connection is closed.
std::unique_ptr<Answer> HttpConnection::refusal(int status, const std::string& message,
                                                const HttpRequest& head) {
  try {
    return server_.handler.refuse(status, message, head);
  } catch (...) {
    return nullptr;
  }
}

// Thread-safe.
std::unique_ptr<Answer> HttpConnection::call_handler(HttpRequest request) {
  const HttpRequest head = head_of(request);
  try {
    std::unique_ptr<Answer> answer = server_.handler.handle(std::move(request));
    if (answer) return answer;
  } catch (...) {
  }
  return refusal(500, "The server failed at this request.", head);
}

awaitable<std::unique_ptr<Answer>> HttpConnection::handle() {
  HttpRequest request = std::move(reader_.request());
  reader_.request() = head_of(request);
  if (request.body.size() <= kSmallBody) co_return call_handler(std::move(request));
  handling_ = true;
  asio::post(server_.workers, [self = shared_from_this(), request = std::move(request)]() mutable {
    std::unique_ptr<Answer> answer = self->call_handler(std::move(request));
    asio::post(self->strand_, [self, answer = std::move(answer)]() mutable {
      self->handled_ = std::move(answer);
      self->handling_ = false;
      self->notify();
    });
  });
  // It cannot be interrupted; if the client goes meanwhile, the answer is dropped when it comes.
  while (handling_) co_await event(Clock::now() + std::chrono::hours(1));
  co_return std::move(handled_);
}

// Sends the handler's refusal of a head. False: it was the connection's last request.
awaitable<bool> HttpConnection::turn_away(std::unique_ptr<Answer> answer) {
  const bool skipped = !reader_.expects_continue() && reader_.skip_body(kSkippedBody);
  const Sent sent = co_await send(std::move(answer), skipped && reader_.keep_alive());
  busy_ = false;
  if (sent == Sent::kLast) co_await say_goodbye(true);
  if (sent != Sent::kGoOn) co_return false;
  co_await body_comes();
  if (reader_.state() != State::kDone) co_return false;
  reader_.next();
  read_more();
  co_return true;
}

// Ends the connection with an answer of HTTP's own.
awaitable<void> HttpConnection::refuse(int status, std::string message) {
  HttpRequest& head = reader_.request();
  head.peer = peer_;
  std::unique_ptr<Answer> answer = refusal(status, message, head);
  const Sent sent = co_await send(std::move(answer), false);
  busy_ = false;
  if (sent == Sent::kLast) co_await say_goodbye(true);
}

awaitable<HttpConnection::Sent> HttpConnection::send(std::unique_ptr<Answer> answer,
                                                     bool keep_alive) {
  if (!answer || closed_) co_return Sent::kPart;
  AnswerFraming framing({.http_1_1 = reader_.http_1_1(),
                         .head_only = reader_.request().method == "HEAD",
                         .keep_alive = keep_alive});
  const auto waker = std::make_shared<Waker>(*this);
  struct Forget {
    Waker& waker;
    ~Forget() { waker.forget(); }
  };
  const Forget forget{*waker};
  answer->set_waker([waker] { waker->wake(); });
  Sent sent = co_await pump(*answer, framing);
  answer.reset();  // at once: what it had begun is cancelled
  if (sent == Sent::kPart) close_now(reset_);
  if (!writing_) body_ = std::string();  // it may have been large
  const bool goes_on = framing.keep_alive() && !server_.draining && !closed_;
  if (sent == Sent::kLast && goes_on) sent = Sent::kGoOn;
  co_return sent;
}

// Pulls the answer and writes what it gives, until its end or its client's. A client that has
// closed its sending side counts as gone, as with most servers: nothing tells it from one that has
// closed altogether. An answer that is there at once still reaches it.
awaitable<HttpConnection::Sent> HttpConnection::pump(Answer& answer, AnswerFraming& framing) {
  bool silent = false;
  last_written_ = Clock::now();
  for (int round = 1;; ++round) {
    if (round % kRoundsInARow == 0) co_await asio::post(strand_, asio::use_awaitable);
    Answer::State state = take(answer, silent);
    if (!compose(answer, framing, state)) state = Answer::State::kBroken;
    if (state == Answer::State::kBroken && !framing.begun()) co_return Sent::kNothing;
    bool written = true;
    if (!before_.empty() || !body_.empty() || !after_.empty()) {
      written = co_await write_out(state == Answer::State::kEnd);
      if (written) answer.written();
    }
    if (written && (state == Answer::State::kEnd || framing.bodiless())) co_return Sent::kLast;
    if (written && state == Answer::State::kBroken) {
      // A body that ends with the connection looks complete unless the connection breaks.
      reset_ = framing.ends_with_connection();
      co_return Sent::kPart;
    }
    if (written && state == Answer::State::kWait) silent = co_await wait_for_more();
    if (!written || gone()) {
      reset_ = true;
      client_left();
      co_return Sent::kPart;
    }
  }
}

// What the answer has now, into body_.
Answer::State HttpConnection::take(Answer& answer, bool silent) {
  body_.clear();
  try {
    if (!silent) {
      woken_ = false;
      return answer.pull(body_);
    }
    last_written_ = Clock::now();  // also if it has nothing to say: not again before next time
    answer.keep_alive(body_);
    return Answer::State::kWait;
  } catch (...) {
    return Answer::State::kBroken;
  }
}

// Puts what is to be written around body_. False: the answer breaks its own word.
bool HttpConnection::compose(const Answer& answer, AnswerFraming& framing, Answer::State state) {
  before_.clear();
  after_.clear();
  const bool last = state == Answer::State::kEnd;
  if (!framing.begun()) {
    const HttpHead* head = answer.head();
    if (head == nullptr) return body_.empty() && !last;
    if (server_.draining) framing.close_after();
    before_ = framing.begin(*head, answer.length(), std::time(nullptr));
  }
  if (framing.bodiless()) {
    body_.clear();
    return true;
  }
  std::string chunk;
  const bool kept = framing.frame(body_.size(), last, chunk, after_);
  before_ += chunk;
  if (!kept) body_.clear();
  return kept;
}

// Until the answer has woken us (false), nothing was written for long (true), or gone().
awaitable<bool> HttpConnection::wait_for_more() {
  while (!woken_ && !gone()) {
    const Clock::time_point deadline = last_written_ + server_.options.keep_alive;
    if (Clock::now() >= deadline) co_return true;
    co_await event(deadline);
  }
  co_return false;
}

// Writes before_, body_ and after_. False: the client is gone or takes nothing; its connection is
// of no use then. The last bytes of an answer are offered to a client that has gone, too.
awaitable<bool> HttpConnection::write_out(bool last) {
  parts_ = {before_, body_, after_};
  last_written_ = Clock::now();
  writing_ = true;
  write_some();
  while (writing_) {
    const Clock::time_point deadline = last_written_ + server_.options.write_timeout;
    if (closed_ || (ended_ && !last) || Clock::now() >= deadline) co_return false;
    co_await event(deadline);
  }
  co_return !write_failed_;
}

void HttpConnection::write_some() {
  transport_->write(parts_, [self = shared_from_this()](bool ok, std::size_t size) {
    self->last_written_ = Clock::now();
    std::size_t left = 0;
    for (std::string_view& part : self->parts_) {
      const std::size_t taken = std::min(size, part.size());
      part.remove_prefix(taken);
      size -= taken;
      left += part.size();
    }
    if (ok && left > 0) return self->write_some();
    self->write_failed_ = !ok;
    self->writing_ = false;
    self->notify();
  });
}

// Always one read under way, to notice when the client goes; but what is kept for later is bounded.
void HttpConnection::read_more() {
  if (reading_ || gone() || reader_.kept() >= server_.options.max_head + kReadAhead) return;
  reading_ = true;
  transport_->read(input_, [self = shared_from_this()](bool ok, std::size_t size) {
    self->reading_ = false;
    self->last_read_ = Clock::now();
    if (ok) {
      self->reader_.feed({self->input_.data(), size});
      self->read_more();
    } else {
      self->ended_ = true;
    }
    self->notify();
  });
}

// Says goodbye; `listen`: the client may still be sending.
awaitable<void> HttpConnection::say_goodbye(bool listen) {
  reader_.stop();
  read_more();
  transport_->finish([self = shared_from_this()] {
    self->said_goodbye_ = true;
    self->notify();
  });
  const Clock::time_point begin = last_read_ = Clock::now();
  while (!closed_ && (!said_goodbye_ || (listen && !ended_))) {
    const Clock::time_point deadline = std::min(begin + kLinger, last_read_ + kLingerSilence);
    if (Clock::now() >= deadline) co_return;
    co_await event(deadline);
  }
}

}  // namespace

std::shared_ptr<Connection> make_connection(ServerState& server, int descriptor, std::string peer,
                                            Connection::Task task) {
  std::unique_ptr<Transport> transport = make_transport(server.io, descriptor, server.tls);
  if (!transport) return nullptr;
  return std::make_shared<HttpConnection>(server, std::move(transport), std::move(peer), task);
}

}  // namespace plumb
