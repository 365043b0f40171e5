// serve_load run: clients in closed loops, and what came of their requests.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>
#include <tuple>

#include "base/strings.h"
#include "load/commands.h"
#include "load/crowd.h"
#include "load/exposition.h"
#include "load/fetch.h"
#include "load/figures.h"
#include "load/process_watch.h"

namespace plumb::load {
namespace {

struct RunOptions {
  ServerOptions server;
  LoadShape shape;
  std::string api = "mix";
  int clients = 8;
  double seconds = 15;
  pid_t pid = 0;         // of the server; 0: it is not watched
  bool metrics = false;  // compare with what the server counted
};

// How long a token may take through the server's own hands, in ms: its goal, and where a machine
// that is shared with others is no excuse any more.
constexpr double kOwnTimeGoalMs = 2, kOwnTimeLimitMs = 20;
constexpr std::pair<const char*, const char*> kOwnTimes[] = {
    {"plumb_accepted_to_queued_seconds", "from received to queued"},
    {"plumb_sampled_to_written_seconds", "from sampled to written"},
};

Result<Exposition> scrape(const ClientOptions& client) {
  PLUMB_TRY(text, fetch(client.target, "/metrics", client.key));
  return Exposition::parse(text);
}

// What the server counted once nothing runs in it any more.
Result<Exposition> scrape_idle(const ClientOptions& client) {
  constexpr int kMost = 100;
  constexpr std::chrono::milliseconds kPause{100};
  for (int i = 0;; ++i) {
    PLUMB_TRY(metrics, scrape(client));
    const auto running = metrics.sum("vllm:num_requests_running");
    const auto waiting = metrics.sum("vllm:num_requests_waiting");
    if (running == 0 && waiting == 0) return metrics;
    if (i == kMost) {
      return Error{Code::kTimeout,
                   str("Without clients the server still has ", fixed(running.value_or(-1), 0),
                       " requests that run and ", fixed(waiting.value_or(-1), 0), " that wait.")};
    }
    std::this_thread::sleep_for(kPause);
  }
}

// The number of descriptors once it has been the same for a while.
Result<int> settled_descriptors(pid_t pid) {
  constexpr int kSame = 5, kMost = 200;
  constexpr std::chrono::milliseconds kPause{50};
  int last = -1, same = 0;
  for (int i = 0; i < kMost && same < kSame; ++i) {
    PLUMB_TRY(sample, sample_process(pid));
    same = sample.descriptors == last ? same + 1 : 0;
    last = sample.descriptors;
    std::this_thread::sleep_for(kPause);
  }
  return last;
}

// One request to each API, so that what is opened once is open before anything is counted.
Status warm_up(const ClientOptions& client, const LoadShape& shape) {
  LoadShape plain = shape;
  plain.cancel = plain.slow = 0;
  std::vector<Ask> asks;
  for (const Api api : kApis) {
    if (shape.api && api != *shape.api) continue;
    plain.api = api;
    asks.push_back(make_ask(plain, -1, static_cast<std::int64_t>(asks.size())));
    if (shape.ids) break;
  }
  return ask_all(client, std::move(asks));
}

struct Pressed {
  Tally tally;
  double seconds = 0;
  std::vector<ProcessSample> watched;
};

Pressed press(const RunOptions& options, const ClientOptions& client) {
  Loop loop;
  Pressed pressed;
  std::optional<ProcessWatch> watch;
  if (options.pid > 0) watch.emplace(loop, options.pid);
  const Moment begin = now();
  Crowd::Calls calls;
  calls.next = [&](int i, std::int64_t turn) -> std::optional<Ask> {
    if (ms_between(begin, now()) > options.seconds * 1000) return std::nullopt;
    return make_ask(options.shape, i, turn);
  };
  calls.done = [&](const Sample& sample) { pressed.tally.add(sample); };
  calls.over = [&] { loop.stop(); };
  Crowd crowd(loop, client, options.clients, std::move(calls));
  crowd.start();
  loop.run();
  pressed.seconds = ms_between(begin, now()) / 1000;
  if (watch) pressed.watched = watch->samples();
  return pressed;
}

void check_counts(const Exposition& before, const Exposition& after, const Tally& tally,
                  Checks& checks) {
  const std::tuple<const char*, std::int64_t, const char*> sums[] = {
      {"vllm:prompt_tokens_total", tally.usage().prompt, "clients were told of"},
      {"vllm:generation_tokens_total", tally.usage().completion, "clients were told of"},
      {"vllm:prefix_cache_hits_total", tally.usage().cached, "clients were told of"},
      // Also those that clients left: their reason is "abort".
      {"vllm:request_success_total",
       tally.count(Ending::kComplete) + tally.count(Ending::kCancelled), "clients ended"},
      {"plumb_answers_aborted_total", tally.count(Ending::kCancelled), "clients left"}};
  for (const auto& [name, seen, what] : sums) {
    const double counted = after.sum(name).value_or(0) - before.sum(name).value_or(0);
    checks.check(counted == static_cast<double>(seen),
                 str(name, " grew by ", fixed(counted, 0), ", ", what, " ", seen));
  }
}

// A token whose reader is slow waits for its reader; then the server's own time cannot be told.
void check_own_times(const Exposition& before, const Exposition& after, bool slow, Checks& checks) {
  for (const auto& [name, what] : kOwnTimes) {
    const HistogramGrowth growth(before, after, name);
    const auto [low, high] = growth.quantile(0.99);
    const std::string figure = str("p99 ", what, " lies in ", fixed(low * 1000, 2), " to ",
                                   fixed(high * 1000, 2), " ms of ", fixed(growth.count(), 0));
    if (slow) {
      checks.note(str(figure, ", slow readers among them"));
    } else {
      checks.check(growth.count() > 0 && high * 1000 <= kOwnTimeLimitMs,
                   str(figure, " (goal ", fixed(kOwnTimeGoalMs, 0), " ms, limit ",
                       fixed(kOwnTimeLimitMs, 0), " ms)"));
    }
  }
}

void check_process(const std::vector<ProcessSample>& watched, int before, const Result<int>& after,
                   Checks& checks) {
  const MemoryTrend trend = memory_trend(watched);
  checks.check(watched.size() >= 6 && !trend.grows(),
               str("memory does not grow: ", bytes_text(trend.middle), " in the second third, ",
                   bytes_text(trend.last), " in the last"));
  checks.check(after && *after <= before,
               str("descriptors go back: ", before, " before, ",
                   after ? to_text(*after) : after.error().message, " after"));
}

int run(RunOptions options) {
  options.shape.model = options.server.model;
  options.shape.seed = options.server.seed;
  for (const Api api : kApis) {
    if (options.api == to_string(api)) options.shape.api = api;
  }
  const auto client = client_options(options.server);
  if (!client) return fail(client.error());
  const bool uncounted =
      options.shape.api == Api::kMessages || options.shape.api == Api::kResponses;
  if (options.metrics && options.shape.cancel > 0 && uncounted) {
    return fail({Code::kInvalid, str("--metrics with --cancel cannot speak ", options.api,
                                     ": whether an answer was complete when its client left is not "
                                     "known where it ends by itself.")});
  }
  const bool looks = options.pid > 0 || options.metrics;
  if (looks) {
    const Status warm = warm_up(*client, options.shape);
    if (!warm) return fail(warm.error());
  }
  Result<Exposition> before = Exposition();
  if (options.metrics) before = scrape(*client);
  if (!before) return fail(before.error());
  Result<int> descriptors = 0;
  if (options.pid > 0) descriptors = settled_descriptors(options.pid);
  if (!descriptors) return fail(descriptors.error());

  const Pressed pressed = press(options, *client);
  std::printf("%s%s", pressed.tally.table(pressed.seconds).c_str(),
              watch_table(pressed.watched).c_str());
  Json report = pressed.tally.json(pressed.seconds);
  Checks checks;
  checks.check(pressed.tally.failures() == 0 && pressed.tally.count(Ending::kComplete) > 0,
               str(options.clients, " clients: ", pressed.tally.count(Ending::kComplete),
                   " requests complete, ", pressed.tally.failures(), " failed"));
  if (options.pid > 0) {
    check_process(pressed.watched, *descriptors, settled_descriptors(options.pid), checks);
    report.set("process", watch_json(pressed.watched));
  }
  if (options.metrics) {
    const auto after = scrape_idle(*client);
    checks.check(after.has_value(),
                 after ? "nothing runs in the server any more" : after.error().message);
    if (after) check_counts(*before, *after, pressed.tally, checks);
    if (after) check_own_times(*before, *after, options.shape.slow > 0, checks);
  }
  report.set("clients", Json::integer(options.clients));
  report.set("checks", checks.json());
  return write_report(options.server, report, checks.exit_status());
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("run", "Clients in closed loops, all streaming");
  const auto options = std::make_shared<RunOptions>();
  add_server_options(*command, options->server);
  LoadShape& shape = options->shape;
  command->add_option("--clients", options->clients, "How many at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "After it no request begins")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI::Option* api =
      command->add_option("--api", options->api, "Which format is spoken")
          ->check(CLI::IsMember({"chat", "completions", "messages", "responses", "mix"}))
          ->capture_default_str();
  command->add_option("--prompt-tokens", shape.prompt_tokens, "Ids of a prompt, or words of it")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--max-tokens", shape.max_tokens,
                   "Of an answer; slow readers ask for 8 times as many")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  CLI::Option* ids = command->add_flag(
      "--ids", shape.ids,
      "Prompts of random token ids to Completions, answers of exactly --max-tokens");
  ids->excludes(api);
  command->add_option("--vocabulary", shape.vocabulary, "Random ids are below it")
      ->needs(ids)
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command
      ->add_option(
          "--cancel", shape.cancel,
          "Share of requests left while they are answered (of a mix: chat and completions)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--slow", shape.slow, "Share of the others that are read slowly")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--pid", options->pid, "Watch the server's process");
  command->add_flag("--metrics", options->metrics,
                    "Compare with what the server's /metrics counted");
  command->callback([options, &status] { status = run(*options); });
}

}  // namespace plumb::load
