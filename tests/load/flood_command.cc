// serve_load flood: connections by the thousand, beside one stream that must not notice.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/strings.h"
#include "load/commands.h"
#include "load/crowd.h"
#include "load/figures.h"
#include "load/flood.h"

namespace plumb::load {
namespace {

struct FloodCommand {
  ServerOptions server;
  Flood::Options flood;
  int limit_ms = 1000;
};

constexpr int kStreamTokens = 256;

Json flood_json(const FloodResult& result) {
  Json statuses = Json::object();
  for (const auto& [status, n] : result.statuses) statuses.set(to_text(status), Json::integer(n));
  return Json::object({{"statuses", std::move(statuses)},
                       {"closed", Json::integer(result.closed)},
                       {"refused", Json::integer(result.refused)},
                       {"late", Json::integer(result.late)},
                       {"attempt_ms", spread_json(spread_of(result.ms))}});
}

// The sum of what was neither 200 nor 503.
std::int64_t other_statuses(const FloodResult& result) {
  std::int64_t n = 0;
  for (const auto& [status, count] : result.statuses) {
    if (status != 200 && status != 503) n += count;
  }
  return n;
}

void check_flood(const FloodCommand& options, const FloodResult& result, double seconds,
                 Checks& checks) {
  std::string replies;
  for (const auto& [status, n] : result.statuses) replies += str(n, " with ", status, ", ");
  const Spread ms = spread_of(result.ms);
  checks.check(result.late == 0 && other_statuses(result) == 0 && result.malformed.empty() &&
                   !result.statuses.empty(),
               str("flood of ", options.flood.attempts, " in ", fixed(seconds), " s: ", replies,
                   result.closed, " closed, ", result.refused, " refused, ", result.late,
                   " without either in ", options.limit_ms, " ms (p99 ", fixed(ms.p99), " ms, max ",
                   fixed(ms.max), " ms)"));
  for (const std::string& why : result.malformed) std::printf("    %s\n", why.c_str());
}

int flood(FloodCommand options) {
  const auto client = client_options(options.server);
  if (!client) return fail(client.error());
  options.flood.target = client->target;
  options.flood.limit = std::chrono::milliseconds(options.limit_ms);
  LoadShape shape;
  shape.model = options.server.model;
  shape.seed = options.server.seed;

  Loop loop;
  bool flooding = true;
  Moment flood_end{};
  Tally stream;
  Flood flood(loop, options.flood, [&] {
    flooding = false;
    flood_end = now();
  });
  Crowd::Calls calls;
  calls.next = [&](int, std::int64_t turn) -> std::optional<Ask> {
    if (!flooding) return std::nullopt;
    return make_ids_ask(shape, 0, turn, shape.prompt_tokens, kStreamTokens);
  };
  calls.done = [&](const Sample& sample) { stream.add(sample); };
  calls.over = [&] { loop.stop(); };
  Crowd one(loop, *client, 1, std::move(calls));
  one.start();
  const Moment begin = now();
  flood.start();
  loop.run();

  Checks checks;
  const double seconds = ms_between(begin, flood_end) / 1000;
  check_flood(options, flood.result(), seconds, checks);
  const double stream_seconds = ms_between(begin, now()) / 1000;
  std::fputs(stream.table(stream_seconds).c_str(), stdout);
  checks.check(stream.failures() == 0 && stream.count(Ending::kComplete) > 0,
               str("beside it a stream: ", stream.count(Ending::kComplete), " replies complete, ",
                   stream.failures(), " failed"));
  Json report = flood_json(flood.result());
  report.set("stream", stream.json(stream_seconds));
  report.set("checks", checks.json());
  return write_report(options.server, report, checks.exit_status());
}

}  // namespace

void add_flood(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("flood", "Connections by the thousand, beside one stream");
  const auto options = std::make_shared<FloodCommand>();
  add_server_options(*command, options->server);
  command->add_option("--attempts", options->flood.attempts, "Connections")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--parallel", options->flood.parallel, "At the same time")
      ->check(CLI::Range(1, 20000))
      ->capture_default_str();
  command->add_option("--path", options->flood.path, "What each asks for")->capture_default_str();
  command->add_option("--limit-ms", options->limit_ms, "For a reply or a close")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->callback([options, &status] { status = flood(*options); });
}

}  // namespace plumb::load
