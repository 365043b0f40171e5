// Clients, answers and the server's end in any order: nothing hangs, leaks or is used after its
// end. What is asserted is little; sanitizers see the rest.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/temp_dir_for_tests.h"
#include "server/certificate_for_tests.h"
#include "server/http_server_for_tests.h"
#include "server/raw_client_for_tests.h"

namespace plumb {
namespace {

using std::chrono::milliseconds;

// Random choices of one thread.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t below(std::uint64_t end) { return random_bits(seed_, draws_++) % end; }

 private:
  std::uint64_t seed_;
  std::uint64_t draws_ = 0;
};

// Wakes every answer there is or was, all the time, from a thread of its own.
class Alarm {
 public:
  Alarm() : thread_([this] { run(); }) {}
  ~Alarm() {
    stop_ = true;
    thread_.join();
  }
  void add(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    if (wakers_.size() < 64) {
      wakers_.push_back(std::move(wake));
    } else {
      wakers_[next_++ % wakers_.size()] = std::move(wake);
    }
  }

 private:
  void run() {
    while (!stop_) {
      std::vector<std::function<void()>> wakers;
      {
        const std::lock_guard lock(mutex_);
        wakers = wakers_;
      }
      for (const auto& wake : wakers) wake();
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  std::mutex mutex_;
  std::vector<std::function<void()>> wakers_;
  std::size_t next_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Waits, gives, ends and breaks by chance.
class FickleAnswer final : public Answer {
 public:
  FickleAnswer(std::uint64_t seed, Alarm& alarm, std::atomic<int>& alive)
      : dice_(seed), alarm_(alarm), alive_(alive) {
    ++alive_;
  }
  ~FickleAnswer() override { --alive_; }

  const HttpHead* head() const override { return begun_ ? &head_ : nullptr; }
  State pull(std::string& out) override {
    const std::uint64_t choice = dice_.below(20);
    if (choice < 6) return State::kWait;
    begun_ = true;
    out.append(dice_.below(choice == 6 ? 300000 : 300), 'x');
    if (choice == 7) return State::kEnd;
    if (choice == 8) return State::kBroken;
    return choice % 2 == 0 ? State::kMore : State::kWait;
  }
  void set_waker(std::function<void()> wake) override { alarm_.add(std::move(wake)); }
  void keep_alive(std::string& out) override {
    begun_ = true;
    out += "x";
  }

 private:
  Dice dice_;
  Alarm& alarm_;
  std::atomic<int>& alive_;
  HttpHead head_;
  bool begun_ = false;
};

// One connection of a client that keeps to nothing.
void misbehave(Dice& dice, std::uint16_t port, bool tls) {
  RawClient client = tls && dice.below(8) > 0 ? RawClient(RawClient::Tls{}, port) : RawClient(port);
  const milliseconds patience(200);
  const auto send = [&](std::string_view bytes) { client.send(bytes, patience); };
  for (std::uint64_t i = 0, steps = 1 + dice.below(5); i < steps && client.connected(); ++i) {
    switch (dice.below(9)) {
      case 0:
        send("GET /fickle HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        break;
      case 1:
        send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
        break;
      case 2:
        send("GET /x HTTP/1.1\r\nHost: a\r\n\r\nHEAD /fickle HTTP/1.1\r\nHost: a\r\n\r\n");
        break;
      case 3:
        send(std::string(1 + dice.below(2000), 'z'));
        break;
      case 4: {
        const std::string body(dice.below(150000), 'b');
        send(str("POST /fickle HTTP/1.1\r\nHost: a\r\nContent-Length: ", body.size(), "\r\n\r\n"));
        send(body);
        break;
      }
      case 5:
        client.read_reply(false, milliseconds(dice.below(20)));
        break;
      default:
        send("GET /fickle HTTP/1.1\r\nHost: a\r\n\r\n");
        break;
    }
  }
  switch (dice.below(4)) {
    case 0:
      client.reset();
      break;
    case 1:
      client.finish_sending();
      break;
    case 2:
      client.read_some(milliseconds(dice.below(20)));
      break;
    default:
      break;
  }
}

void run_chaos(HttpServerOptions options, bool tls, std::uint64_t seed) {
  Alarm alarm;
  std::atomic<int> alive{0};
  std::atomic<std::uint64_t> answers{0};
  TestHandler handler;
  handler.on_handle = [&](HttpRequest& request) -> std::unique_ptr<Answer> {
    if (request.path != "/fickle") return nullptr;
    return std::make_unique<FickleAnswer>(seed + answers++, alarm, alive);
  };
  options.max_connections = 6;
  options.keep_alive = milliseconds(5);
  options.head_timeout = options.body_timeout = options.idle_timeout = milliseconds(50);
  options.write_timeout = milliseconds(100);
  for (int life = 0; life < 3; ++life) {
    auto server = serve(handler, options);
    const std::uint16_t port = server->port();
    std::vector<std::thread> clients;
    std::atomic<bool> stop{false};
    for (int t = 0; t < 8; ++t) {
      clients.emplace_back([&, dice = Dice(seed * 100 + life * 10 + t)]() mutable {
        while (!stop) misbehave(dice, port, tls);
      });
    }
    std::this_thread::sleep_for(milliseconds(200));
    if (life == 1) server->drain(milliseconds(20));
    server.reset();
    EXPECT_EQ(alive, 0) << "answers that outlive their server";
    stop = true;
    for (std::thread& client : clients) client.join();
  }
  EXPECT_GT(answers, 0u);
}

TEST(HttpChaos, PlainServersSurviveClientsThatKeepToNothing) { run_chaos({}, false, 1); }

TEST(HttpChaos, TlsServersSurviveClientsThatKeepToNothing) {
  const TempDir dir;
  const CertificateFiles files = make_certificate(dir.path(), "server");
  HttpServerOptions options;
  options.tls_certificate = files.certificate;
  options.tls_key = files.key;
  run_chaos(options, true, 2);
}

}  // namespace
}  // namespace plumb
