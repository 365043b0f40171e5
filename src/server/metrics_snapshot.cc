#include "server/metrics_snapshot.h"

#include <prometheus/metric_family.h>

#include <utility>

namespace plumb {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Collects families of one series each.
class Families {
 public:
  void gauge(const char* name, const char* help, double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    out_.push_back({name, help, MetricType::Gauge, {std::move(metric)}});
  }
  void counter(const char* name, const char* help, std::uint64_t value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = static_cast<double>(value);
    out_.push_back({name, help, MetricType::Counter, {std::move(metric)}});
  }
  std::vector<MetricFamily> take() { return std::move(out_); }

 private:
  std::vector<MetricFamily> out_;
};

double used_share(const StatePool::Stats& pool) {
  if (pool.pages_total == 0) return 0;
  return static_cast<double>(pool.pages_total - pool.pages_free) / pool.pages_total;
}

void add_compatible(const MetricsOptions& options, const MetricsSnapshot& now, Families& out) {
  const Labels engine = {{"engine", "0"}, {"model_name", options.model}};
  const EngineStats& stats = now.engine;
  out.gauge("vllm:num_requests_running", "Requests that the engine is computing.", stats.running,
            engine);
  out.gauge("vllm:num_requests_waiting", "Requests that wait for the engine.", stats.waiting,
            engine);
  out.gauge("vllm:kv_cache_usage_perc", "Share of the cache's pages in use, from 0 to 1.",
            used_share(stats.pool), engine);
  out.gauge("vllm:engine_healthy", "1 unless the engine has failed.", now.healthy ? 1 : 0, engine);
  out.counter("vllm:num_preemptions_total", "Requests that gave way and went on later.",
              stats.parked, engine);
  out.counter("vllm:spec_decode_num_draft_tokens_total", "Tokens that were drafted.", stats.drafted,
              engine);
  out.counter("vllm:spec_decode_num_accepted_tokens_total",
              "Drafted tokens that became part of an answer.", stats.accepted, engine);
  Labels shape = engine;
  shape.push_back({"block_size", std::to_string(options.page_tokens)});
  shape.push_back({"num_gpu_blocks", std::to_string(stats.pool.pages_total)});
  out.gauge("vllm:cache_config_info", "Tokens per page of the cache, and its pages.", 1, shape);
}

void add_own(const MetricsOptions& options, const MetricsSnapshot& now, Families& out) {
  const EngineStats& stats = now.engine;
  const ServedFacts& facts = options.facts;
  out.gauge("plumb_build_info", "What answers are made with.", 1,
            {{"build", facts.build},
             {"config", facts.config_digest},
             {"model_name", options.model},
             {"numerics", facts.numerics},
             {"tokenizer", facts.tokenizer},
             {"weights", facts.fingerprint}});
  out.gauge("plumb_draining", "1 while the server lets running requests finish and takes no more.",
            now.draining ? 1 : 0);
  out.counter("plumb_log_lines_lost_total", "Lines of the request log that were not written.",
              now.log_lines_lost);
  out.counter("plumb_engine_steps_total", "Forward passes.", stats.steps);
  out.gauge("plumb_engine_step_seconds", "Recent average of a forward pass.", stats.step_ms / 1000);
  out.gauge("plumb_sessions", "States kept between requests.", stats.sessions);
  out.gauge("plumb_cache_snapshots", "Shared prefixes that are kept.", stats.pool.snapshots);
  out.gauge("plumb_cache_snapshot_bytes", "Memory that they take beside pages.",
            static_cast<double>(stats.pool.snapshot_bytes));
  out.counter("plumb_cache_evictions_total", "Shared prefixes that gave way.",
              stats.pool.evictions);
}

void add_http(const HttpServerStats& http, Families& out) {
  out.counter("plumb_http_connections_accepted_total", "Connections that were accepted.",
              http.accepted);
  out.counter("plumb_http_connections_refused_total", "Connections beyond the limit.",
              http.refused);
  out.gauge("plumb_http_connections_open", "Connections that are open.", http.open);
  out.counter("plumb_http_requests_read_total", "Requests whose head was read.", http.requests);
  out.counter("plumb_http_requests_broken_total",
              "Requests whose client went before the answer's end.", http.broken);
}

}  // namespace

std::vector<MetricFamily> snapshot_families(const MetricsOptions& options,
                                            const MetricsSnapshot& snapshot) {
  Families out;
  add_compatible(options, snapshot, out);
  add_own(options, snapshot, out);
  add_http(snapshot.http, out);
  return out.take();
}

}  // namespace plumb
