#include "server/metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/strings.h"

namespace plumb {
namespace {

using Seconds = Metrics::Seconds;

MetricsOptions options() {
  MetricsOptions out;
  out.model = "minnow";
  out.aliases = {"gpt-4o", "claude"};
  out.page_tokens = 128;
  out.facts = {"f1f2", "t1t2", "fast@avx2", "0.1.0 (abc)", "c1c2"};
  return out;
}

RequestRecord answered(int prompt, int completion) {
  RequestRecord out;
  out.route = "/v1/chat/completions";
  out.format = "openai.chat";
  out.operation = Operation::kChat;
  out.model_asked = "gpt-4o";
  out.model = "minnow";
  out.status = 200;
  out.queued = true;
  out.usage.prompt = prompt;
  out.usage.completion = completion;
  out.finished = {FinishReason::kStop};
  return out;
}

// The samples of an exposition by their text up to the value.
std::map<std::string, double> samples(const std::string& text) {
  std::map<std::string, double> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    const std::size_t space = line.rfind(' ');
    EXPECT_TRUE(out.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second)
        << line;
  }
  return out;
}

std::map<std::string, double> scrape(const Metrics& metrics, const MetricsSnapshot& snapshot = {}) {
  return samples(metrics.text(snapshot));
}

double sum_over(const std::map<std::string, double>& all, const std::string& prefix) {
  double sum = 0;
  for (const auto& [name, value] : all) {
    if (name.starts_with(prefix)) sum += value;
  }
  return sum;
}

const std::string kEngine = "{engine=\"0\",model_name=\"minnow\"}";

TEST(Metrics, TheNamesThatOthersScrapeAreThereFromTheStart) {
  const Metrics metrics(options());
  const auto all = scrape(metrics);
  for (const char* name : {
           "vllm:num_requests_running",
           "vllm:num_requests_waiting",
           "vllm:kv_cache_usage_perc",
           "vllm:prefix_cache_queries_total",
           "vllm:prefix_cache_hits_total",
           "vllm:prompt_tokens_total",
           "vllm:generation_tokens_total",
           "vllm:time_to_first_token_seconds_count",
           "vllm:inter_token_latency_seconds_count",
           "vllm:request_time_per_output_token_seconds_count",
           "vllm:e2e_request_latency_seconds_count",
           "vllm:request_queue_time_seconds_count",
           "vllm:request_prefill_time_seconds_count",
           "vllm:request_decode_time_seconds_count",
           "vllm:request_inference_time_seconds_count",
           "vllm:num_preemptions_total",
           "vllm:admission_rejections_total",
           "vllm:request_prompt_tokens_count",
           "vllm:request_generation_tokens_count",
           "vllm:spec_decode_num_draft_tokens_total",
           "vllm:spec_decode_num_accepted_tokens_total",
       }) {
    ASSERT_EQ(all.count(name + kEngine), 1u) << name;
    EXPECT_EQ(all.at(name + kEngine), 0) << name;
  }
  EXPECT_EQ(all.at("vllm:engine_healthy" + kEngine), 1);
  for (const char* reason : {"stop", "length", "abort", "error"}) {
    EXPECT_EQ(all.at(str("vllm:request_success_total{engine=\"0\",finished_reason=\"", reason,
                         "\",model_name=\"minnow\"}")),
              0);
  }
}

TEST(Metrics, AScrapeReadsTheEngineAndTheSockets) {
  const Metrics metrics(options());
  MetricsSnapshot now;
  now.engine.running = 3;
  now.engine.waiting = 4;
  now.engine.parked = 5;
  now.engine.drafted = 60;
  now.engine.accepted = 40;
  now.engine.steps = 7;
  now.engine.step_ms = 250;
  now.engine.pool.pages_total = 200;
  now.engine.pool.pages_free = 50;
  now.engine.pool.evictions = 8;
  now.http = {9, 10, 11, 12, 13};
  now.healthy = false;
  now.draining = true;
  now.log_lines_lost = 14;
  const auto all = scrape(metrics, now);
  const std::pair<std::string, double> expected[] = {
      {"vllm:num_requests_running" + kEngine, 3},
      {"vllm:num_requests_waiting" + kEngine, 4},
      {"vllm:num_preemptions_total" + kEngine, 5},
      {"vllm:spec_decode_num_draft_tokens_total" + kEngine, 60},
      {"vllm:spec_decode_num_accepted_tokens_total" + kEngine, 40},
      {"vllm:kv_cache_usage_perc" + kEngine, 0.75},
      {"vllm:engine_healthy" + kEngine, 0},
      {"vllm:cache_config_info{block_size=\"128\",engine=\"0\",model_name=\"minnow\","
       "num_gpu_blocks=\"200\"}",
       1},
      {"plumb_engine_steps_total", 7},
      {"plumb_engine_step_seconds", 0.25},
      {"plumb_cache_evictions_total", 8},
      {"plumb_http_connections_accepted_total", 9},
      {"plumb_http_connections_refused_total", 10},
      {"plumb_http_connections_open", 11},
      {"plumb_http_requests_read_total", 12},
      {"plumb_http_requests_broken_total", 13},
      {"plumb_draining", 1},
      {"plumb_log_lines_lost_total", 14},
      {"plumb_build_info{build=\"0.1.0 (abc)\",config=\"c1c2\",model_name=\"minnow\","
       "numerics=\"fast@avx2\",tokenizer=\"t1t2\",weights=\"f1f2\"}",
       1},
  };
  for (const auto& [name, value] : expected) {
    ASSERT_EQ(all.count(name), 1u) << name;
    EXPECT_EQ(all.at(name), value) << name;
  }
}

// Whatever became of the answers.
TEST(Metrics, TokensAddUpToWhatClientsWereTold) {
  Metrics metrics(options());
  double prompt = 0, completion = 0;
  for (int i = 0; i < 50; ++i) {
    RequestRecord record = answered(100 + i, i);
    record.key = i % 2 == 0 ? "alice" : "";
    record.usage.cached = i;
    if (i % 5 == 1) {
      record.status = 0;
      record.aborted = AbortCause::kClientGone;
      record.finished = {FinishReason::kCancelled};
    }
    if (i % 5 == 2) {
      record.operation = Operation::kTextCompletion;
      record.model_asked = "something else";
    }
    if (i % 5 == 3) {  // refused before the engine
      record.queued = false;
      record.usage = {};
    }
    prompt += record.usage.prompt;
    completion += record.usage.completion;
    metrics.request_done(record);
  }
  const auto all = scrape(metrics);
  EXPECT_EQ(all.at("vllm:prompt_tokens_total" + kEngine), prompt);
  EXPECT_EQ(all.at("vllm:generation_tokens_total" + kEngine), completion);
  EXPECT_EQ(all.at("vllm:prefix_cache_queries_total" + kEngine), prompt);
  EXPECT_EQ(all.at("vllm:request_prompt_tokens_sum" + kEngine), prompt);
  EXPECT_EQ(all.at("vllm:request_generation_tokens_sum" + kEngine), completion);
  EXPECT_EQ(all.at("vllm:request_generation_tokens_count" + kEngine), 40);
  EXPECT_EQ(sum_over(all, "gen_ai_client_token_usage_sum"), prompt + completion);
  EXPECT_GT(sum_over(all, "plumb_key_tokens_total"), 0);
  EXPECT_LT(sum_over(all, "plumb_key_tokens_total"), prompt + completion);
}

TEST(Metrics, EveryEndHasItsReason) {
  Metrics metrics(options());
  RequestRecord record = answered(1, 1);
  record.finished = {FinishReason::kStop,      FinishReason::kLength,   FinishReason::kLength,
                     FinishReason::kCancelled, FinishReason::kDeadline, FinishReason::kFailed};
  metrics.request_done(record);
  const auto all = scrape(metrics);
  const std::pair<const char*, int> expected[] = {
      {"stop", 1}, {"length", 2}, {"abort", 2}, {"error", 1}};
  for (const auto& [reason, count] : expected) {
    EXPECT_EQ(all.at(str("vllm:request_success_total{engine=\"0\",finished_reason=\"", reason,
                         "\",model_name=\"minnow\"}")),
              count);
  }
}

TEST(Metrics, TimesGoIntoTheirHistograms) {
  Metrics metrics(options());
  RequestRecord record = answered(10, 5);
  record.usage.queue_ms = 100;
  record.usage.prompt_ms = 2000;
  record.usage.decode_ms = 8000;
  record.total_ms = 10500;
  metrics.queued(Seconds(0.00012));
  metrics.first_token(Operation::kChat, "gpt-4o", Seconds(2.1));
  metrics.next_token(Seconds(2));
  metrics.written(Seconds(0.0004));
  metrics.request_done(record);
  const auto all = scrape(metrics);
  const std::string chat =
      "{gen_ai_operation_name=\"chat\",gen_ai_request_model=\"gpt-4o\","
      "gen_ai_response_model=\"minnow\"}";
  const std::pair<std::string, double> sums[] = {
      {"vllm:time_to_first_token_seconds_sum" + kEngine, 2.1},
      {"vllm:inter_token_latency_seconds_sum" + kEngine, 2},
      {"vllm:request_time_per_output_token_seconds_sum" + kEngine, 2},  // four gaps
      {"vllm:e2e_request_latency_seconds_sum" + kEngine, 10.5},
      {"vllm:request_queue_time_seconds_sum" + kEngine, 0.1},
      {"vllm:request_prefill_time_seconds_sum" + kEngine, 2},
      {"vllm:request_decode_time_seconds_sum" + kEngine, 8},
      {"vllm:request_inference_time_seconds_sum" + kEngine, 10},
      {"gen_ai_server_request_duration_seconds_sum" + chat, 10.5},
      {"gen_ai_server_time_to_first_token_seconds_sum" + chat, 2.1},
      {"gen_ai_server_time_per_output_token_seconds_sum" + chat, 2},
      {"plumb_accepted_to_queued_seconds_sum", 0.00012},
      {"plumb_accepted_to_queued_seconds_bucket{le=\"0.0001\"}", 0},
      {"plumb_accepted_to_queued_seconds_bucket{le=\"0.00015\"}", 1},
      {"plumb_sampled_to_written_seconds_sum", 0.0004},
      {"plumb_sampled_to_written_seconds_count", 1},
  };
  for (const auto& [name, value] : sums) {
    ASSERT_EQ(all.count(name), 1u) << name;
    EXPECT_DOUBLE_EQ(all.at(name), value) << name;
  }
}

// Four choices of five tokens side by side have four gaps each, not nineteen.
TEST(Metrics, ChoicesShareTheirTime) {
  Metrics metrics(options());
  RequestRecord record = answered(10, 20);
  record.finished.assign(4, FinishReason::kStop);
  record.usage.decode_ms = 8000;
  metrics.request_done(record);
  EXPECT_DOUBLE_EQ(scrape(metrics).at("vllm:request_time_per_output_token_seconds_sum" + kEngine),
                   2);
}

std::vector<double> bounds(const std::map<std::string, double>& all, const std::string& name) {
  std::set<double> out;
  for (const auto& [key, value] : all) {
    const std::size_t le = key.find("le=\"");
    if (!key.starts_with(name + "_bucket{") || key.find("+Inf") != key.npos) continue;
    out.insert(std::stod(key.substr(le + 4)));
  }
  return {out.begin(), out.end()};
}

TEST(Metrics, BucketsReachFromTheShortestToTheLongest) {
  Metrics metrics(options());
  metrics.first_token(Operation::kChat, "minnow", Seconds(1));
  metrics.request_done(answered(1, 3));
  const auto all = scrape(metrics);
  struct Case {
    const char* name;
    double low, high;
    std::size_t at_least;
  };
  const Case cases[] = {
      {"vllm:time_to_first_token_seconds", 0.001, 2560, 15},
      {"gen_ai_server_time_to_first_token_seconds", 0.001, 2560, 15},
      {"gen_ai_server_request_duration_seconds", 0.001, 2560, 15},
      {"vllm:e2e_request_latency_seconds", 0.001, 2560, 15},
      {"vllm:inter_token_latency_seconds", 0.001, 100, 25},
      {"plumb_accepted_to_queued_seconds", 0.00005, 1, 25},
      {"plumb_sampled_to_written_seconds", 0.00005, 1, 25},
      {"gen_ai_client_token_usage", 1, 67108864, 14},
      {"vllm:request_prompt_tokens", 1, 1'000'000, 15},
      {"plumb_request_body_bytes", 256, double{64 << 20}, 10},
  };
  for (const Case& c : cases) {
    const auto found = bounds(all, c.name);
    ASSERT_GE(found.size(), c.at_least) << c.name;
    EXPECT_LE(found.front(), c.low) << c.name;
    EXPECT_GE(found.back(), c.high) << c.name;
  }
}

TEST(Metrics, RequestsAreCountedByWhatBecameOfThem) {
  Metrics metrics(options());
  RequestRecord record = answered(1, 1);
  metrics.request_done(record);
  metrics.request_done(record);
  record.queued = false;
  record.status = 429;
  record.refused = RefusalCause::kRateLimit;
  metrics.request_done(record);
  record.refused = RefusalCause::kQueueFull;
  metrics.request_done(record);
  record.status = 400;
  record.refused = RefusalCause::kInvalid;
  metrics.request_done(record);
  record.queued = true;
  record.status = 200;
  record.refused = RefusalCause::kNone;
  record.aborted = AbortCause::kClientGone;
  record.brakes = {Brake::kLoop, Brake::kReasoning, Brake::kLoop};
  metrics.request_done(record);
  RequestRecord models;
  models.route = "/v1/models";
  models.status = 200;
  metrics.request_done(models);
  const auto all = scrape(metrics);
  const auto requests = [&](const char* format, const char* route, int status) {
    return all.at(str("plumb_http_requests_total{format=\"", format, "\",route=\"", route,
                      "\",status=\"", status, "\"}"));
  };
  EXPECT_EQ(requests("openai.chat", "/v1/chat/completions", 200), 3);
  EXPECT_EQ(requests("openai.chat", "/v1/chat/completions", 429), 2);
  EXPECT_EQ(requests("openai.chat", "/v1/chat/completions", 400), 1);
  EXPECT_EQ(requests("", "/v1/models", 200), 1);
  EXPECT_EQ(all.at("plumb_requests_refused_total{cause=\"rate_limit\"}"), 1);
  EXPECT_EQ(all.at("plumb_requests_refused_total{cause=\"queue_full\"}"), 1);
  EXPECT_EQ(all.at("plumb_requests_refused_total{cause=\"invalid\"}"), 1);
  EXPECT_EQ(all.at("vllm:admission_rejections_total" + kEngine), 2);
  EXPECT_EQ(all.at("plumb_answers_aborted_total{cause=\"client_gone\"}"), 1);
  EXPECT_EQ(all.at("plumb_answer_brakes_total{cause=\"loop\"}"), 2);
  EXPECT_EQ(all.at("plumb_answer_brakes_total{cause=\"reasoning_budget\"}"), 1);
  EXPECT_EQ(all.at("plumb_request_body_bytes_count"), 7);
  // Routes that compute nothing are no operation.
  EXPECT_EQ(sum_over(all, "gen_ai_server_request_duration_seconds_count"), 6);
  EXPECT_EQ(sum_over(all, "gen_ai_server_request_duration_seconds_count{error_type=\"invalid\""),
            1);
}

TEST(Metrics, WhatClientsWriteMakesNoMoreSeriesThanABound) {
  Metrics metrics(options());
  for (int i = 0; i < 1000; ++i) {
    RequestRecord record = answered(1, 1);
    record.model_asked = str("model-", i);
    record.ignored = {str("field", i % 500), std::string(100, 'x') + std::to_string(i)};
    metrics.request_done(record);
    metrics.first_token(Operation::kChat, record.model_asked, Seconds(1));
  }
  const std::string text = metrics.text({});
  EXPECT_EQ(text.find("model-"), std::string::npos);
  std::map<std::string, double> fields;
  for (const auto& [name, value] : samples(text)) {
    if (name.starts_with("plumb_ignored_fields_total")) fields[name] = value;
  }
  EXPECT_EQ(fields.size(), 101u);
  EXPECT_EQ(fields.at("plumb_ignored_fields_total{field=\"field0\"}"), 2);
  EXPECT_EQ(fields.at("plumb_ignored_fields_total{field=\"other\"}"), 1000 + 800);
}

TEST(Metrics, EveryLineIsWellFormedWhateverTheNames) {
  MetricsOptions odd = options();
  odd.model = "a\"b\\c\nd";
  Metrics metrics(odd);
  RequestRecord record = answered(5, 5);
  record.ignored = {"we\"ird\\ \n{}"};
  metrics.request_done(record);
  const std::string text = metrics.text({});
  EXPECT_NE(text.find("model_name=\"a\\\"b\\\\c\\nd\""), std::string::npos);
  const std::regex sample(
      R"re([a-z0-9_:]+(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? -?[0-9.e+-]+)re");
  const std::regex comment(R"(# (HELP [a-z0-9_:]+ .*|TYPE [a-z0-9_:]+ (counter|gauge|histogram)))");
  std::set<std::string> types;
  std::string last;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    EXPECT_TRUE(std::regex_match(line, line.starts_with('#') ? comment : sample)) << line;
    if (!line.starts_with("# TYPE ")) continue;
    const std::string name = line.substr(7, line.rfind(' ') - 7);
    EXPECT_TRUE(types.insert(name).second) << name;
    EXPECT_LT(last, name);  // in order, so that two scrapes can be compared
    last = name;
  }
  EXPECT_GT(types.size(), 40u);
  EXPECT_EQ(text, metrics.text({}));
}

TEST(Metrics, ThePageListsExactlyTheFamiliesThatAreWritten) {
  Metrics metrics(options());
  RequestRecord record = answered(5, 5);  // with everything that makes a family appear
  record.key = "alice";
  record.ignored = {"user"};
  record.brakes = {Brake::kLoop};
  record.refused = RefusalCause::kInvalid;
  record.aborted = AbortCause::kDeadline;
  metrics.first_token(record.operation, record.model_asked, Seconds(1));
  metrics.request_done(record);
  std::set<std::string> written, listed;
  std::istringstream in(metrics.text({}));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("# TYPE ")) written.insert(line.substr(7));
  }
  const auto page = read_file(std::string(PLUMB_SOURCE_DIR) + "/docs/METRICS.md");
  ASSERT_TRUE(page) << page.error().message;
  const std::regex row(R"(\| `([a-z0-9_:]+)` \| (counter|gauge|histogram) \|)");
  for (std::sregex_iterator i(page->begin(), page->end(), row), end; i != end; ++i) {
    EXPECT_TRUE(listed.insert(str((*i)[1].str(), " ", (*i)[2].str())).second) << (*i)[1];
  }
  EXPECT_EQ(written, listed);
}

TEST(Metrics, ThreadsCountTogether) {
  Metrics metrics(options());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        RequestRecord record = answered(2, 3);
        record.ignored = {str("field", t, i)};
        metrics.next_token(Seconds(0.01));
        metrics.request_done(record);
        if (i % 100 == 0) metrics.text({});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto all = scrape(metrics);
  EXPECT_EQ(all.at("vllm:prompt_tokens_total" + kEngine), 4000);
  EXPECT_EQ(all.at("vllm:inter_token_latency_seconds_count" + kEngine), 2000);
  EXPECT_EQ(sum_over(all, "plumb_ignored_fields_total"), 2000);
}

TEST(Metrics, EveryCauseHasAName) {
  std::set<std::string_view> names;
  for (int i = 1; i <= static_cast<int>(RefusalCause::kInternal); ++i) {
    names.insert(to_string(static_cast<RefusalCause>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(RefusalCause::kInternal));
  EXPECT_EQ(names.count(""), 0u);
  const std::pair<Code, RefusalCause> codes[] = {
      {Code::kInvalid, RefusalCause::kInvalid},
      {Code::kTooLong, RefusalCause::kTooLong},
      {Code::kNotFound, RefusalCause::kNotFound},
      {Code::kCorrupt, RefusalCause::kInternal},
      {Code::kUnsupported, RefusalCause::kUnsupported},
      {Code::kExhausted, RefusalCause::kQueueFull},
      {Code::kCancelled, RefusalCause::kNone},
      {Code::kTimeout, RefusalCause::kTimeout},
      {Code::kUnavailable, RefusalCause::kUnavailable},
      {Code::kInternal, RefusalCause::kInternal},
  };
  for (const auto& [code, cause] : codes) EXPECT_EQ(refusal_cause(code), cause);
}

}  // namespace
}  // namespace plumb
