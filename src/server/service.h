// What the server answers: from a request that was read to the answer that is pulled.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "gateway/provider.h"
#include "gateway/wire/wire.h"
#include "server/api_keys.h"
#include "server/http.h"
#include "server/http_server.h"
#include "server/metrics.h"
#include "server/rate_limits.h"
#include "server/record.h"
#include "server/request_log.h"
#include "server/routes.h"
#include "server/trace.h"

namespace plumb {

struct ServiceOptions {
  ApiKeys keys;
  std::map<std::string, std::string> aliases;  // as clients say it -> model; "*": any other name
  wire::Defaults defaults;
  std::size_t max_body = std::size_t{64} << 20;
  std::chrono::milliseconds request_timeout{0};  // 0: none
  std::vector<std::string> cors_origins;         // "*": any
  std::string config_digest;
  bool log_content = false;
};

// Every endpoint over a provider. All it borrows must outlive it and its answers. Thread-safe.
class Service final : public HttpHandler {
 public:
  // `log` and `records` may be null.
  Service(Provider& provider, ServiceOptions options, Metrics& metrics, RequestLog* log,
          RecordStore* records);

  Admission admit(const HttpRequest& head) override;
  std::unique_ptr<Answer> handle(HttpRequest request) override;
  std::unique_ptr<Answer> refuse(int status, const std::string& message,
                                 const HttpRequest& head) override;

  // Where /metrics finds the sockets' numbers. Before the first request.
  void set_http_stats(std::function<HttpServerStats()> stats) { http_stats_ = std::move(stats); }
  // From now on /ready says no: no new work should be sent here.
  void set_draining() { draining_ = true; }

 private:
  struct Exchange;  // one request under way

  std::unique_ptr<Answer> dispatch(const std::shared_ptr<Exchange>& exchange);
  std::unique_ptr<Answer> chat(const std::shared_ptr<Exchange>& exchange);
  std::unique_ptr<Answer> count_tokens(const std::shared_ptr<Exchange>& exchange);
  std::unique_ptr<Answer> tokenize(const std::shared_ptr<Exchange>& exchange);
  std::unique_ptr<Answer> detokenize(const std::shared_ptr<Exchange>& exchange);
  std::unique_ptr<Answer> models(const std::shared_ptr<Exchange>& exchange);
  std::unique_ptr<Answer> whole(const std::shared_ptr<Exchange>& exchange, int status,
                                std::string body, std::string_view type = "application/json");
  std::unique_ptr<Answer> refusal(const std::shared_ptr<Exchange>& exchange,
                                  const wire::Refusal& refusal);
  void finish(Exchange& exchange, const Outcome& outcome);

  std::shared_ptr<Exchange> begin(HttpRequest request, const Found& found);
  Result<Json> parse_body(const Exchange& exchange) const;
  // The provider's model that a client's name stands for.
  Result<ModelCard> resolve(const std::string& asked) const;
  HttpHeaders cors_headers(const HttpRequest& request) const;
  int retry_after_s() const;

  Provider& provider_;
  ServiceOptions options_;
  Metrics& metrics_;
  RequestLog* log_;
  RecordStore* records_;
  RateLimits limits_;
  std::function<HttpServerStats()> http_stats_;
  std::atomic<bool> draining_{false};
  std::atomic<double> queue_ms_{0};  // of recent requests
};

}  // namespace plumb
