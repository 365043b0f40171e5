// serve_load watch: what a process holds over time.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/strings.h"
#include "load/commands.h"
#include "load/figures.h"
#include "load/process_watch.h"

namespace plumb::load {
namespace {

struct WatchOptions {
  ServerOptions report;  // only its file
  pid_t pid = 0;
  int seconds = 60;
};

int watch(const WatchOptions& options) {
  if (const auto there = sample_process(options.pid); !there) return fail(there.error());
  Loop loop;
  const ProcessWatch watch(loop, options.pid);
  loop.after(std::chrono::seconds(options.seconds), [&] { loop.stop(); });
  loop.run();
  std::fputs(watch_table(watch.samples()).c_str(), stdout);
  Checks checks;
  const MemoryTrend trend = memory_trend(watch.samples());
  checks.check(!trend.grows(),
               str("memory does not grow: ", bytes_text(trend.middle), " in the second third, ",
                   bytes_text(trend.last), " in the last"));
  return write_report(options.report, watch_json(watch.samples()), checks.exit_status());
}

}  // namespace

void add_watch(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("watch", "Memory, descriptors and threads of a process");
  const auto options = std::make_shared<WatchOptions>();
  command->add_option("--pid", options->pid, "The process")->required()->check(CLI::PositiveNumber);
  command->add_option("--seconds", options->seconds, "How long")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--json", options->report.json, "File for the report as JSON");
  command->callback([options, &status] { status = watch(*options); });
}

}  // namespace plumb::load
