#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <set>
#include <sstream>
#include <utility>

#include "server/metrics_snapshot.h"

namespace plumb {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Histogram;
using prometheus::Labels;
using Buckets = Histogram::BucketBoundaries;

// Numbers of the form m · 10^e / 10 within [low, high]; each is the nearest double to its decimal
// form, so that it is printed in few digits.
Buckets decades(const std::vector<int>& mantissas, double low, double high) {
  Buckets out;
  for (int exponent = -7; exponent <= 9; ++exponent) {
    double power = 1;
    for (int i = 0; i < std::abs(exponent - 1); ++i) power *= 10;
    for (const int mantissa : mantissas) {
      const double bound = exponent >= 1 ? mantissa * power : mantissa / power;
      if (bound >= low && bound <= high) out.push_back(bound);
    }
  }
  return out;
}

Buckets seconds_buckets() { return decades({10, 20, 50}, 0.001, 5000); }
Buckets token_gap_buckets() { return decades({10, 15, 20, 30, 50, 70}, 0.001, 100); }
Buckets fine_buckets() { return decades({10, 15, 20, 30, 50, 70}, 0.00005, 1); }
Buckets token_buckets() { return decades({10, 20, 50}, 1, 2'000'000); }
// As OpenTelemetry has them for token usage: powers of four.
Buckets usage_buckets() {
  Buckets out;
  for (double bound = 1; bound <= 67108864; bound *= 4) out.push_back(bound);
  return out;
}
Buckets byte_buckets() {
  Buckets out;
  for (double bound = 256; bound <= double{1 << 30}; bound *= 4) out.push_back(bound);
  return out;
}

// Text from outside that becomes a label: the first `capacity` names that come, short ones only.
class BoundedNames {
 public:
  explicit BoundedNames(std::size_t capacity) : capacity_(capacity) {}
  std::string label(std::string_view name) {
    constexpr std::size_t kMaxBytes = 80;
    if (name.size() > kMaxBytes) return "other";
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(name);
    if (found != names_.end()) return *found;
    if (names_.size() >= capacity_) return "other";
    return *names_.emplace(name).first;
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::set<std::string, std::less<>> names_;
};

// The engine's word for how a generation ended, as vLLM's label has it.
enum Reason : std::size_t { kStopReason, kLengthReason, kAbortReason, kErrorReason, kReasons };
constexpr std::array<const char*, kReasons> kReasonLabels = {"stop", "length", "abort", "error"};
Reason reason_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return kStopReason;
    case FinishReason::kLength:
      return kLengthReason;
    case FinishReason::kCancelled:
    case FinishReason::kDeadline:
      return kAbortReason;
    case FinishReason::kFailed:
      return kErrorReason;
  }
  return kErrorReason;
}

// The series of one family are kept in no order, and the families in that of their kinds.
void sort(std::vector<prometheus::MetricFamily>& families) {
  std::sort(families.begin(), families.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (auto& family : families) {
    for (auto& metric : family.metric) std::sort(metric.label.begin(), metric.label.end());
    std::sort(family.metric.begin(), family.metric.end(),
              [](const auto& a, const auto& b) { return a.label < b.label; });
  }
}

}  // namespace

struct Metrics::Impl {
  explicit Impl(MetricsOptions given) : options(std::move(given)) {
    for (std::size_t i = 0; i < kReasons; ++i) {
      finished[i] = &finished_family.Add({{"finished_reason", kReasonLabels[i]}});
    }
  }

  Labels engine_labels() const { return {{"engine", "0"}, {"model_name", options.model}}; }
  Counter& engine_counter(const char* name, const char* help) {
    return counters(name, help, engine_labels()).Add({});
  }
  Histogram& engine_histogram(const char* name, const char* help, const Buckets& buckets) {
    return histograms(name, help, engine_labels()).Add({}, buckets);
  }
  Family<Counter>& counters(const char* name, const char* help, const Labels& labels = {}) {
    return prometheus::BuildCounter().Name(name).Help(help).Labels(labels).Register(registry);
  }
  Family<Histogram>& histograms(const char* name, const char* help, const Labels& labels = {}) {
    return prometheus::BuildHistogram().Name(name).Help(help).Labels(labels).Register(registry);
  }
  // A name that was configured, whatever a client asked for.
  const std::string& known_model(std::string_view asked) const {
    const auto found = std::find(options.aliases.begin(), options.aliases.end(), asked);
    return found == options.aliases.end() ? options.model : *found;
  }
  Labels operation_labels(Operation operation, std::string_view asked) const {
    return {{"gen_ai_operation_name", std::string(to_string(operation))},
            {"gen_ai_request_model", known_model(asked)},
            {"gen_ai_response_model", options.model}};
  }
  void count_request(const RequestRecord& record);
  void count_tokens(const RequestRecord& record);
  void time_generation(const RequestRecord& record);
  void time_operation(const RequestRecord& record);

  const MetricsOptions options;
  prometheus::Registry registry;
  BoundedNames ignored_names{100}, routes{64}, formats{16};

  Counter& prompt_tokens =
      engine_counter("vllm:prompt_tokens_total", "Tokens of prompts, as clients were told.");
  Counter& generated_tokens =
      engine_counter("vllm:generation_tokens_total", "Tokens of answers, as clients were told.");
  Counter& prefix_queries = engine_counter("vllm:prefix_cache_queries_total",
                                           "Prompt tokens that were looked up in the cache.");
  Counter& prefix_hits =
      engine_counter("vllm:prefix_cache_hits_total", "Prompt tokens whose state was in the cache.");
  Counter& rejections = engine_counter("vllm:admission_rejections_total",
                                       "Requests refused for want of room or quota.");
  Family<Counter>& finished_family = counters(
      "vllm:request_success_total", "Answers that came to an end, by how.", engine_labels());
  std::array<Counter*, kReasons> finished{};
  Histogram& first_token_time =
      engine_histogram("vllm:time_to_first_token_seconds",
                       "From the request's receipt to its first token.", seconds_buckets());
  Histogram& token_gap =
      engine_histogram("vllm:inter_token_latency_seconds",
                       "Between two tokens of an answer as they are sent.", token_gap_buckets());
  Histogram& time_per_token =
      engine_histogram("vllm:request_time_per_output_token_seconds",
                       "An answer's time after its first token, per token.", token_gap_buckets());
  Histogram& request_time =
      engine_histogram("vllm:e2e_request_latency_seconds",
                       "From the request's receipt to its answer's end.", seconds_buckets());
  Histogram& queue_time = engine_histogram("vllm:request_queue_time_seconds",
                                           "Waiting for the engine.", seconds_buckets());
  Histogram& prefill_time = engine_histogram("vllm:request_prefill_time_seconds",
                                             "Reading the prompt.", seconds_buckets());
  Histogram& decode_time = engine_histogram("vllm:request_decode_time_seconds",
                                            "Writing the answer.", seconds_buckets());
  Histogram& inference_time =
      engine_histogram("vllm:request_inference_time_seconds",
                       "Reading the prompt and writing the answer.", seconds_buckets());
  Histogram& prompt_sizes = engine_histogram("vllm:request_prompt_tokens",
                                             "Tokens of a request's prompt.", token_buckets());
  Histogram& answer_sizes = engine_histogram("vllm:request_generation_tokens",
                                             "Tokens of a request's answer.", token_buckets());

  Family<Histogram>& operation_time = histograms("gen_ai_server_request_duration_seconds",
                                                 "From a request's receipt to its answer's end.");
  Family<Histogram>& operation_first_token = histograms(
      "gen_ai_server_time_to_first_token_seconds", "From a request's receipt to its first token.");
  Family<Histogram>& operation_per_token =
      histograms("gen_ai_server_time_per_output_token_seconds",
                 "An answer's time after its first token, per token.");
  Family<Histogram>& operation_tokens =
      histograms("gen_ai_client_token_usage", "Tokens of a request, by their kind.");

  Family<Counter>& requests =
      counters("plumb_http_requests_total", "Requests that were answered, or were not.");
  Family<Counter>& refusals =
      counters("plumb_requests_refused_total", "Requests that were not served, by cause.");
  Family<Counter>& aborts =
      counters("plumb_answers_aborted_total", "Answers that did not come to their end, by cause.");
  Family<Counter>& brakes =
      counters("plumb_answer_brakes_total",
               "Answers that a guard ended, or whose reasoning it closed, by cause.");
  Family<Counter>& ignored =
      counters("plumb_ignored_fields_total", "Fields of requests that mean nothing here.");
  Family<Counter>& key_tokens = counters("plumb_key_tokens_total", "Tokens by API key and kind.");
  Counter& reasoning_tokens =
      counters("plumb_reasoning_tokens_total", "Tokens of answers before the answer itself.")
          .Add({});
  Histogram& accepted_to_queued =
      histograms("plumb_accepted_to_queued_seconds",
                 "From a request's receipt to its place in the engine's queue.")
          .Add({}, fine_buckets());
  Histogram& sampled_to_written =
      histograms("plumb_sampled_to_written_seconds",
                 "From a token's choice to its bytes being the operating system's.")
          .Add({}, fine_buckets());
  Histogram& body_bytes =
      histograms("plumb_request_body_bytes", "Bytes of request bodies.").Add({}, byte_buckets());
};

Metrics::Metrics(MetricsOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Metrics::~Metrics() = default;

void Metrics::queued(Seconds since_received) {
  impl_->accepted_to_queued.Observe(since_received.count());
}

void Metrics::first_token(Operation operation, std::string_view asked, Seconds since_received) {
  impl_->first_token_time.Observe(since_received.count());
  impl_->operation_first_token.Add(impl_->operation_labels(operation, asked), seconds_buckets())
      .Observe(since_received.count());
}

void Metrics::next_token(Seconds since_previous) {
  impl_->token_gap.Observe(since_previous.count());
}

void Metrics::written(Seconds since_sampled) {
  impl_->sampled_to_written.Observe(since_sampled.count());
}

void Metrics::request_done(const RequestRecord& record) {
  impl_->count_request(record);
  if (record.operation != Operation::kNone) impl_->time_operation(record);
  if (!record.queued) return;
  impl_->count_tokens(record);
  impl_->time_generation(record);
}

void Metrics::Impl::count_request(const RequestRecord& record) {
  requests
      .Add({{"route", routes.label(record.route)},
            {"format", formats.label(record.format)},
            {"status", std::to_string(record.status)}})
      .Increment();
  body_bytes.Observe(static_cast<double>(record.body_bytes));
  if (record.refused != RefusalCause::kNone) {
    refusals.Add({{"cause", std::string(to_string(record.refused))}}).Increment();
  }
  if (record.refused == RefusalCause::kRateLimit || record.refused == RefusalCause::kQueueFull) {
    rejections.Increment();
  }
  if (record.aborted != AbortCause::kNone) {
    aborts.Add({{"cause", std::string(to_string(record.aborted))}}).Increment();
  }
  for (const Brake brake : record.brakes)
    brakes.Add({{"cause", std::string(to_string(brake))}}).Increment();
  for (const std::string& name : record.ignored) {
    ignored.Add({{"field", ignored_names.label(name)}}).Increment();
  }
}

void Metrics::Impl::count_tokens(const RequestRecord& record) {
  const Usage& usage = record.usage;
  prompt_tokens.Increment(usage.prompt);
  generated_tokens.Increment(usage.completion);
  prefix_queries.Increment(usage.prompt);
  prefix_hits.Increment(usage.cached);
  reasoning_tokens.Increment(usage.reasoning);
  prompt_sizes.Observe(usage.prompt);
  answer_sizes.Observe(usage.completion);
  const std::pair<const char*, int> kinds[] = {{"input", usage.prompt},
                                               {"output", usage.completion}};
  for (const auto& [kind, tokens] : kinds) {
    Labels labels = operation_labels(record.operation, record.model_asked);
    labels.emplace("gen_ai_token_type", kind);
    operation_tokens.Add(labels, usage_buckets()).Observe(tokens);
    if (!record.key.empty()) {
      key_tokens.Add({{"key", record.key}, {"type", kind}}).Increment(tokens);
    }
  }
}

void Metrics::Impl::time_generation(const RequestRecord& record) {
  const Usage& usage = record.usage;
  request_time.Observe(record.total_ms / 1000);
  queue_time.Observe(usage.queue_ms / 1000);
  prefill_time.Observe(usage.prompt_ms / 1000);
  decode_time.Observe(usage.decode_ms / 1000);
  inference_time.Observe((usage.prompt_ms + usage.decode_ms) / 1000);
  for (const FinishReason reason : record.finished) finished[reason_of(reason)]->Increment();
  // Choices are computed side by side; of each, the first token belongs to the prompt.
  const double choices = std::max<double>(1, static_cast<double>(record.finished.size()));
  const double gaps = usage.completion / choices - 1;
  if (gaps <= 0) return;
  const double per_token = usage.decode_ms / 1000 / gaps;
  time_per_token.Observe(per_token);
  operation_per_token
      .Add(operation_labels(record.operation, record.model_asked), token_gap_buckets())
      .Observe(per_token);
}

void Metrics::Impl::time_operation(const RequestRecord& record) {
  Labels labels = operation_labels(record.operation, record.model_asked);
  if (record.refused != RefusalCause::kNone) {
    labels.emplace("error_type", to_string(record.refused));
  } else if (record.aborted != AbortCause::kNone) {
    labels.emplace("error_type", to_string(record.aborted));
  }
  operation_time.Add(labels, seconds_buckets()).Observe(record.total_ms / 1000);
}

std::string Metrics::text(const MetricsSnapshot& snapshot) const {
  std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
  for (auto& family : snapshot_families(impl_->options, snapshot)) {
    families.push_back(std::move(family));
  }
  sort(families);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace plumb
