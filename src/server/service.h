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
#include "server/chat_answer.h"
#include "server/exchange.h"
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
  using Shared = std::shared_ptr<Exchange>;  // one request under way

  Shared begin(HttpRequest request, const Found& found);
  HttpHeaders cors_headers(const HttpRequest& request) const;
  std::unique_ptr<Answer> dispatch(const Shared& exchange);

  std::unique_ptr<Answer> count_tokens(const Shared& exchange);
  std::unique_ptr<Answer> tokenize(const Shared& exchange);
  std::unique_ptr<Answer> detokenize(const Shared& exchange);
  // What these have in common: parse(body) gives the call or a wire::Refusal, reply(call, card) the
  // reply's text or an Error.
  template <class Parse, class Reply>
  std::unique_ptr<Answer> small_call(const Shared& exchange, Parse parse, Reply reply);
  std::unique_ptr<Answer> models(const Shared& exchange);

  // service_chat.cc
  std::unique_ptr<Answer> chat(const Shared& exchange);
  // Submits every choice. An error cancels those that were submitted.
  Result<std::vector<std::unique_ptr<ChatStream>>> submit(wire::Call& call, const ModelCard& card,
                                                          const Exchange& exchange);
  std::unique_ptr<Answer> answer(const Shared& exchange, const wire::Call& call,
                                 const ModelCard& card, wire::ReplyHead head,
                                 std::vector<std::unique_ptr<ChatStream>> streams);
  void done(Exchange& exchange, const ModelCard& card, const wire::ReplyHead& head,
            const CallOutcome& outcome);
  void keep_record(const Exchange& exchange, const ModelCard& card, const wire::ReplyHead& head,
                   const CallOutcome& outcome);

  // Each of these is an exchange's end.
  std::unique_ptr<Answer> whole(const Shared& exchange, int status, std::string body,
                                std::string_view type = "application/json");
  std::unique_ptr<Answer> refusal(const Shared& exchange, const wire::Refusal& refusal);
  std::unique_ptr<Answer> refuse_no_route(const Shared& exchange);
  std::unique_ptr<Answer> refuse_error(const Shared& exchange, const Error& error);
  std::unique_ptr<Answer> refuse_parsed(const Shared& exchange, const wire::Refusal& refusal);
  void finish(Exchange& exchange);

  Result<Json> parse_body(const Exchange& exchange) const;
  // The provider's model that a client's name stands for.
  Result<ModelCard> resolve(const std::string& asked) const;
  int retry_after_s() const;

  Provider& provider_;
  ServiceOptions options_;
  Metrics& metrics_;
  RequestLog* log_;
  RecordStore* records_;
  RateLimits limits_;
  std::int64_t started_;  // seconds since 1970: when the models came to be, as lists say it
  std::function<HttpServerStats()> http_stats_;
  std::atomic<bool> draining_{false};
  std::atomic<double> queue_ms_{0};  // average of recent requests
};

}  // namespace plumb
