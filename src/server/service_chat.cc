// The endpoints that answer: parse, submit, and account for what came of it.
#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/strings.h"
#include "base/version.h"
#include "server/service.h"
#include "server/time_text.h"

namespace plumb {
namespace {

std::uint64_t drawn_seed() {
  std::uint64_t seed = 0;
  system_random(std::as_writable_bytes(std::span(&seed, 1)));
  // Clients that read it as a signed or a double number get it back unchanged.
  return seed >> 11;
}

// Two replies with the same one were made by the same weights, arithmetic and program.
std::string system_fingerprint(const ModelCard& card) {
  return "fp_" +
         sha256_hex(str(card.fingerprint, " ", card.numerics, " ", version_text())).substr(0, 16);
}

void append_origin_headers(const ModelCard& card, const std::string& config, std::uint64_t seed,
                           HttpHeaders& headers) {
  headers.emplace_back("x-plumb-model", card.name);
  headers.emplace_back("x-plumb-weights", card.fingerprint);
  headers.emplace_back("x-plumb-tokenizer", card.tokenizer);
  headers.emplace_back("x-plumb-numerics", card.numerics);
  headers.emplace_back("x-plumb-build", str(build_info().version, "+", build_info().commit));
  headers.emplace_back("x-plumb-config", config);
  headers.emplace_back("x-plumb-seed", std::to_string(seed));
}

AbortCause abort_cause(const CallOutcome& outcome) {
  if (outcome.end == CallOutcome::End::kComplete) return AbortCause::kNone;
  if (outcome.end == CallOutcome::End::kAborted) return AbortCause::kClientGone;
  switch (outcome.refusal ? outcome.refusal->status : 500) {
    case 504:
      return AbortCause::kDeadline;
    case 503:
      return AbortCause::kDraining;
    default:
      return AbortCause::kEngineFailed;
  }
}

}  // namespace

std::unique_ptr<Answer> Service::chat(const Shared& e) {
  RequestRecord& record = e->record;
  record.format = e->format->name;
  record.operation =
      e->format->name == "openai.completions" ? Operation::kTextCompletion : Operation::kChat;
  auto body = parse_body(*e);
  if (!body) return refuse_error(e, body.error());
  wire::Parsed parsed = e->format->parse(*body, options_.defaults);
  if (auto* refusal = std::get_if<wire::Refusal>(&parsed)) return refuse_parsed(e, *refusal);
  wire::Call call = std::move(std::get<wire::Call>(parsed));
  record.model_asked = call.model;
  record.stream = call.stream;
  record.ignored = call.ignored;
  const auto card = resolve(call.model);
  if (!card) return refuse_error(e, card.error());
  record.model = card->name;

  const ApiKey* key = options_.keys.access(e->request, e->found.route->scope).key;
  if (key) record.key = key->name;
  RateLimits::Decision decision = limits_.admit(key, std::chrono::steady_clock::now());
  if (e->format->name.starts_with("anthropic")) {
    append_anthropic_limits(decision, std::chrono::system_clock::now(), e->headers);
  } else {
    append_openai_limits(decision, e->headers);
  }
  if (!decision.allowed) {
    record.refused = RefusalCause::kRateLimit;
    return this->refusal(
        e, {429, decision.message, "", "rate_limit_exceeded", decision.retry_after_s});
  }
  e->permit = std::move(decision.permit);

  if (!call.seeded) {
    const std::uint64_t seed = drawn_seed();
    for (std::size_t i = 0; i < call.choices.size(); ++i) {
      call.choices[i].sampling.seed = wire::seed_of_choice(seed, static_cast<int>(i));
    }
  }
  record.seed = call.choices.front().sampling.seed;
  append_origin_headers(*card, options_.config_digest, *record.seed, e->headers);
  auto streams = submit(call, *card, *e);
  if (!streams) return refuse_error(e, streams.error());
  metrics_.queued(std::chrono::steady_clock::now() - e->received);
  record.queued = true;

  wire::ReplyHead head;
  head.unique = random_hex(16);
  head.created =
      std::chrono::duration_cast<std::chrono::seconds>(record.received.time_since_epoch()).count();
  head.model = call.model.empty() ? card->name : call.model;
  head.fingerprint = system_fingerprint(*card);
  return answer(e, call, *card, std::move(head), std::move(*streams));
}

Result<std::vector<std::unique_ptr<ChatStream>>> Service::submit(wire::Call& call,
                                                                 const ModelCard& card,
                                                                 const Exchange& e) {
  CallContext context;
  context.request_id = e.trace.request_id;
  context.tenant = e.record.key;
  if (options_.request_timeout.count() > 0)
    context.deadline = e.received + options_.request_timeout;
  std::vector<std::unique_ptr<ChatStream>> streams;
  for (ChatRequest& choice : call.choices) {
    choice.model = card.name;
    PLUMB_TRY(stream, provider_.chat(std::move(choice), context));
    streams.push_back(std::move(stream));
  }
  return streams;
}

std::unique_ptr<Answer> Service::answer(const Shared& e, const wire::Call& call,
                                        const ModelCard& card, wire::ReplyHead head,
                                        std::vector<std::unique_ptr<ChatStream>> streams) {
  const bool log_content = log_ && log_->wants_content();
  if (log_content) e->record.body = e->request.body;
  if (!records_) std::string().swap(e->request.body);  // may be large, and is needed no more
  ChatAnswerOptions options;
  options.format = e->format;
  options.stream = call.stream;
  options.headers = e->headers;
  options.request_id = e->trace.request_id;
  options.keep_body = records_ || log_content;
  options.token_taken = [this, e](std::optional<Moment> previous, Moment now) {
    if (previous) return metrics_.next_token(now - *previous);
    e->record.first_token_ms = ms_between(e->received, now);
    metrics_.first_token(e->record.operation, e->record.model_asked, now - e->received);
  };
  options.token_written = [this](Moment announced, Moment now) {
    metrics_.written(now - announced);
  };
  options.done = [this, e, card, head](const CallOutcome& outcome) {
    done(*e, card, head, outcome);
  };
  return chat_answer(std::move(streams), call.writer(head), std::move(options));
}

void Service::done(Exchange& e, const ModelCard& card, const wire::ReplyHead& head,
                   const CallOutcome& outcome) {
  RequestRecord& record = e.record;
  record.status = outcome.status;
  record.usage = outcome.usage;
  record.finished = outcome.reasons;
  record.brakes = outcome.brakes;
  record.aborted = abort_cause(outcome);
  if (outcome.refusal) record.error = outcome.refusal->message;
  if (log_ && log_->wants_content()) record.answer = outcome.body;
  e.permit.charge(outcome.usage.prompt + outcome.usage.completion,
                  std::chrono::steady_clock::now());
  queue_ms_ = 0.9 * queue_ms_ + 0.1 * outcome.usage.queue_ms;
  if (records_ && outcome.end == CallOutcome::End::kComplete) keep_record(e, card, head, outcome);
  finish(e);
  e.permit = {};
}

void Service::keep_record(const Exchange& e, const ModelCard& card, const wire::ReplyHead& head,
                          const CallOutcome& outcome) {
  Record record;
  record.id = e.trace.request_id;
  record.at = rfc3339_milliseconds(e.record.received);
  record.format = e.format->name;
  record.body = e.request.body;
  record.model = card.name;
  record.head = head;
  record.seed = *e.record.seed;
  record.fingerprint = card.fingerprint;
  record.tokenizer = card.tokenizer;
  record.numerics = card.numerics;
  record.build = version_text();
  record.config = options_.config_digest;
  record.cached = outcome.cached;
  record.order = outcome.order;
  record.sha256 = sha256_hex(outcome.body);
  record.bytes = outcome.body.size();
  records_->save(std::move(record));
}

}  // namespace plumb
