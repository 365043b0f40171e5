// What the server counts, in Prometheus' text format.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/provider.h"
#include "server/http_server.h"
#include "server/request_record.h"

namespace plumb {

struct MetricsOptions {
  std::string model;                 // the name that is served
  std::vector<std::string> aliases;  // further names that clients may ask for
  int page_tokens = 0;               // of the cache
  ServedFacts facts;
};

// What is read at the moment of a scrape.
struct MetricsSnapshot {
  EngineStats engine;
  HttpServerStats http;
  bool healthy = true;
  bool draining = false;
  std::uint64_t log_lines_lost = 0;
};

// Three sets of names: `vllm:` as routers and dashboards scrape them, OpenTelemetry's
// `gen_ai_server_` and `gen_ai_client_token_usage`, and `plumb_` for what has no common name
// (docs/METRICS.md). Labels hold configured names only, never text of clients beyond a bound.
// Thread-safe.
class Metrics {
 public:
  using Seconds = std::chrono::duration<double>;

  explicit Metrics(MetricsOptions options);
  ~Metrics();

  // While a request runs. `asked`: the model's name as the client spelled it.
  void queued(Seconds since_received);  // its place in the engine's queue was taken
  void first_token(Operation operation, std::string_view asked, Seconds since_received);
  void next_token(Seconds since_previous);
  void written(Seconds since_sampled);  // bytes of a token were given to the operating system
  // Once for every request, also a refused or aborted one.
  void request_done(const RequestRecord& record);

  // The body of GET /metrics.
  std::string text(const MetricsSnapshot& snapshot) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace plumb
