#include "server/service.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/digest.h"
#include "base/strings.h"
#include "base/version.h"
#include "gateway/wire/anthropic_count.h"
#include "gateway/wire/anthropic_models.h"
#include "gateway/wire/openai_models.h"
#include "gateway/wire/tokenize.h"
#include "server/chat_answer.h"
#include "server/exchange.h"
#include "server/openapi.h"

namespace plumb {
namespace {

using std::chrono::duration_cast;

bool is_anthropic_client(const HttpRequest& request) {
  return !request.header("anthropic-version").empty();
}

wire::Refusal refusal_for(ApiKeys::Verdict verdict, Scope scope) {
  const bool unauthorised =
      verdict == ApiKeys::Verdict::kMissing || verdict == ApiKeys::Verdict::kUnknown;
  return {unauthorised ? 401 : 403, explain(verdict, scope), "",
          unauthorised ? "invalid_api_key" : "forbidden", std::nullopt};
}

}  // namespace

Service::Service(Provider& provider, ServiceOptions options, Metrics& metrics, RequestLog* log,
                 RecordStore* records)
    : provider_(provider),
      options_(std::move(options)),
      metrics_(metrics),
      log_(log),
      records_(records),
      limits_(options_.keys),
      started_(std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count()) {}

// --- before the body ---

HttpHandler::Admission Service::admit(const HttpRequest& head) {
  const Found found = find_route(head.method, head.path);
  const auto refused = [&](const wire::Refusal& refusal, RefusalCause cause) {
    const auto exchange = begin(head, found);
    exchange->record.refused = cause;
    return Admission{this->refusal(exchange, refusal), 0};
  };
  if (head.method == "OPTIONS") return {nullptr, 0};
  if (!found.route) return {refuse_no_route(begin(head, found)), 0};
  if (!found.route->open) {
    const auto access = options_.keys.access(head, found.route->scope);
    if (access.verdict != ApiKeys::Verdict::kGranted) {
      const wire::Refusal refusal = refusal_for(access.verdict, found.route->scope);
      return refused(refusal, refusal.status == 401 ? RefusalCause::kAuthentication
                                                    : RefusalCause::kForbidden);
    }
  }
  const std::string encoding = ascii_lower(head.header("content-encoding"));
  if (!encoding.empty() && encoding != "identity") {
    return refused({415, str("The body's Content-Encoding is ", encoding, ", expected none."), "",
                    "unsupported_encoding", std::nullopt},
                   RefusalCause::kUnsupported);
  }
  return {nullptr, found.route->method == "POST" ? options_.max_body : 0};
}

Service::Shared Service::begin(HttpRequest request, const Found& found) {
  auto exchange = std::make_shared<Exchange>();
  Exchange& e = *exchange;
  const Moment now = std::chrono::steady_clock::now();
  e.received = request.received == Moment{} ? now : request.received;
  e.trace = trace_of(request);
  e.found = found;
  e.format = &error_format(request.path, is_anthropic_client(request));
  if (found.route && found.route->endpoint == Endpoint::kChat) e.format = found.route->format;
  RequestRecord& r = e.record;
  r.received = std::chrono::system_clock::now() -
               duration_cast<std::chrono::system_clock::duration>(now - e.received);
  r.request_id = e.trace.request_id;
  r.trace_id = e.trace.trace_id;
  if (found.route) r.route = found.route->path;
  r.peer = request.peer;
  r.body_bytes = request.body.size();
  append_trace_headers(e.trace, e.headers);
  for (auto& header : cors_headers(request)) e.headers.push_back(std::move(header));
  e.request = std::move(request);
  return exchange;
}

HttpHeaders Service::cors_headers(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return {};
  const bool any = std::count(options_.cors_origins.begin(), options_.cors_origins.end(), "*") > 0;
  const bool named = std::count(options_.cors_origins.begin(), options_.cors_origins.end(),
                                std::string(origin)) > 0;
  if (!any && !named) return {};
  return {{"Access-Control-Allow-Origin", any ? "*" : std::string(origin)},
          {"Vary", "Origin"},
          {"Access-Control-Expose-Headers", "*"}};
}

// --- answers that are whole ---

std::unique_ptr<Answer> Service::whole(const Shared& e, int status, std::string body,
                                       std::string_view type) {
  HttpHead head{status, e->headers};
  if (!body.empty()) head.headers.emplace_back("Content-Type", std::string(type));
  e->record.status = status;
  finish(*e);
  return whole_answer(std::move(head), std::move(body));
}

std::unique_ptr<Answer> Service::refusal(const Shared& e, const wire::Refusal& refusal) {
  e->record.status = refusal.status;
  e->record.error = refusal.message;
  HttpHeaders headers = e->headers;
  if (refusal.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  if (refusal.status == 405) headers.emplace_back("Allow", e->found.allowed);
  finish(*e);
  return refusal_answer(refusal, *e->format, std::move(headers), e->trace.request_id);
}

std::unique_ptr<Answer> Service::refuse(int status, const std::string& message,
                                        const HttpRequest& head) {
  const auto exchange = begin(head, find_route(head.method, head.path));
  exchange->record.refused = status == 413   ? RefusalCause::kTooLarge
                             : status == 408 ? RefusalCause::kTimeout
                             : status == 503 ? RefusalCause::kUnavailable
                                             : RefusalCause::kInvalid;
  wire::Refusal refusal{status, message, "", "", std::nullopt};
  if (status == 413) refusal.code = "request_too_large";
  if (status == 503) refusal.retry_after_s = 1;
  return this->refusal(exchange, refusal);
}

// Once per request, when its answer is decided.
void Service::finish(Exchange& e) {
  if (std::exchange(e.finished, true)) return;
  e.record.total_ms = ms_between(e.received, std::chrono::steady_clock::now());
  metrics_.request_done(e.record);
  if (log_) log_->write(e.record);
}

// --- the body is there ---

std::unique_ptr<Answer> Service::handle(HttpRequest request) {
  if (request.method == "OPTIONS") {
    const auto exchange = begin(std::move(request), {});
    exchange->headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    exchange->headers.emplace_back("Access-Control-Allow-Headers",
                                   "authorization, content-type, x-api-key, api-key, *");
    exchange->headers.emplace_back("Access-Control-Max-Age", "3600");
    return whole(exchange, 204, "");
  }
  const Found found = find_route(request.method, request.path);
  const auto exchange = begin(std::move(request), found);
  return found.route ? dispatch(exchange) : refuse_no_route(exchange);
}

std::unique_ptr<Answer> Service::dispatch(const Shared& e) {
  switch (e->found.route->endpoint) {
    case Endpoint::kChat:
      return chat(e);
    case Endpoint::kCountTokens:
      return count_tokens(e);
    case Endpoint::kTokenize:
      return tokenize(e);
    case Endpoint::kDetokenize:
      return detokenize(e);
    case Endpoint::kModels:
    case Endpoint::kModel:
      return models(e);
    case Endpoint::kHealth:
      if (provider_.healthy()) return whole(e, 200, R"({"status":"ok"})");
      return whole(e, 503, R"({"status":"failed"})");
    case Endpoint::kReady:
      if (!provider_.healthy()) return whole(e, 503, R"({"status":"failed"})");
      if (draining_) return whole(e, 503, R"({"status":"draining"})");
      return whole(e, 200, R"({"status":"ready"})");
    case Endpoint::kMetrics: {
      MetricsSnapshot snapshot;
      snapshot.engine = provider_.stats();
      if (http_stats_) snapshot.http = http_stats_();
      snapshot.healthy = provider_.healthy();
      snapshot.draining = draining_;
      snapshot.log_lines_lost = log_ ? log_->lost() : 0;
      return whole(e, 200, metrics_.text(snapshot), kMetricsContentType);
    }
    case Endpoint::kVersion:
      return whole(e, 200,
                   Json::object({{"version", Json::string(build_info().version)},
                                 {"build", Json::string(version_text())}})
                       .dump());
    case Endpoint::kOpenApi:
      return whole(e, 200, std::string(openapi_document()));
  }
  return refuse_no_route(e);
}

Result<Json> Service::parse_body(const Exchange& e) const {
  JsonLimits limits;
  limits.max_bytes = options_.max_body;
  auto parsed = parse_json(e.request.body, "The body", limits);
  if (!parsed) return Error{Code::kInvalid, parsed.error().message};
  return parsed;
}

Result<ModelCard> Service::resolve(const std::string& asked) const {
  const std::vector<ModelCard> cards = provider_.models();
  const auto named = [&](const std::string& name) -> const ModelCard* {
    for (const ModelCard& card : cards) {
      if (card.name == name) return &card;
    }
    return nullptr;
  };
  if (asked.empty() && !cards.empty()) return cards.front();
  if (const ModelCard* card = named(asked)) return *card;
  for (const std::string& key : {asked, std::string("*")}) {
    const auto alias = options_.aliases.find(key);
    if (alias == options_.aliases.end()) continue;
    if (const ModelCard* card = named(alias->second)) return *card;
  }
  std::string known;
  for (const ModelCard& card : cards) known += (known.empty() ? "" : ", ") + card.name;
  for (const auto& [alias, model] : options_.aliases) known += ", " + alias;
  return Error{Code::kNotFound, str("There is no model \"", asked.substr(0, 200),
                                    "\", expected one of: ", known, ".")};
}

int Service::retry_after_s() const {
  return std::clamp(static_cast<int>(std::ceil(queue_ms_.load() / 1000)), 1, 60);
}

// --- small endpoints ---

std::unique_ptr<Answer> Service::refuse_no_route(const Shared& e) {
  const auto& [method, path] = std::tie(e->request.method, e->request.path);
  const std::string& allowed = e->found.allowed;
  e->record.refused = RefusalCause::kNotFound;
  if (allowed.empty()) {
    return refusal(e, {404, str("There is no ", method, " ", path, "."), "", "not_found", {}});
  }
  return refusal(
      e, {405, str(path, " takes ", allowed, ", not ", method, "."), "", "method_not_allowed", {}});
}

std::unique_ptr<Answer> Service::refuse_error(const Shared& e, const Error& error) {
  e->record.refused = refusal_cause(error.code);
  wire::Refusal refusal = wire::refusal_of(error);
  if (refusal.status == 429 || refusal.status == 503) refusal.retry_after_s = retry_after_s();
  return this->refusal(e, refusal);
}

std::unique_ptr<Answer> Service::refuse_parsed(const Shared& e, const wire::Refusal& refusal) {
  e->record.refused =
      refusal.code == "unsupported_parameter" ? RefusalCause::kUnsupported : RefusalCause::kInvalid;
  return this->refusal(e, refusal);
}

template <class Parse, class Reply>
std::unique_ptr<Answer> Service::small_call(const Shared& e, Parse parse, Reply reply) {
  auto body = parse_body(*e);
  if (!body) return refuse_error(e, body.error());
  auto parsed = parse(*body);
  if (auto* refusal = std::get_if<wire::Refusal>(&parsed)) return refuse_parsed(e, *refusal);
  const auto& call = std::get<0>(parsed);
  e->record.ignored = call.ignored;
  e->record.model_asked = call.model;
  const auto card = resolve(call.model);
  if (!card) return refuse_error(e, card.error());
  Result<std::string> text = reply(call, *card);
  if (!text) return refuse_error(e, text.error());
  return whole(e, 200, *std::move(text));
}

std::unique_ptr<Answer> Service::count_tokens(const Shared& e) {
  return small_call(
      e, [this](const Json& body) { return wire::parse_anthropic_count(body, options_.defaults); },
      [this](const wire::CountCall& call, const ModelCard& card) -> Result<std::string> {
        PLUMB_TRY(tokens, provider_.tokenize(card.name, call.prompt));
        return wire::anthropic_count(static_cast<std::int64_t>(tokens.size()));
      });
}

std::unique_ptr<Answer> Service::tokenize(const Shared& e) {
  return small_call(
      e, [this](const Json& body) { return wire::parse_tokenize(body, options_.defaults); },
      [this](const wire::TokenizeCall& call, const ModelCard& card) -> Result<std::string> {
        PLUMB_TRY(tokens, provider_.tokenize(card.name, call.prompt));
        return wire::tokenize_reply(call, tokens, card.context);
      });
}

std::unique_ptr<Answer> Service::detokenize(const Shared& e) {
  return small_call(
      e, wire::parse_detokenize,
      [this](const wire::DetokenizeCall& call, const ModelCard& card) -> Result<std::string> {
        PLUMB_TRY(text, provider_.detokenize(card.name, call.tokens));
        return wire::detokenize_reply(text);
      });
}

std::unique_ptr<Answer> Service::models(const Shared& e) {
  std::vector<std::pair<std::string, std::string>> aliases;
  for (const auto& [alias, model] : options_.aliases) {
    if (alias != "*") aliases.emplace_back(alias, model);
  }
  const bool anthropic = is_anthropic_client(e->request);
  const std::vector<ModelCard> cards = provider_.models();
  if (e->found.route->endpoint == Endpoint::kModels) {
    return whole(e, 200,
                 anthropic ? wire::anthropic_models(cards, aliases)
                           : wire::openai_model_list(cards, aliases, started_));
  }
  const auto body = anthropic ? wire::anthropic_model(cards, aliases, e->found.rest)
                              : wire::openai_model(cards, aliases, started_, e->found.rest);
  if (body) return whole(e, 200, *body);
  return refuse_error(
      e, {Code::kNotFound, str("There is no model \"", e->found.rest.substr(0, 200), "\".")});
}

}  // namespace plumb
