// plumb inspect: what a model directory holds, what it would take to run it, and whether it is
// whole.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/inspect_report.h"
#include "apps/memory_plan.h"
#include "apps/model_dir.h"
#include "apps/stack.h"
#include "base/progress.h"
#include "base/strings.h"
#include "checkpoint/verify.h"
#include "model/deepseek_v4/model.h"
#include "model/deepseek_v4/names.h"

namespace plumb {
namespace {

namespace v4 = deepseek_v4;

struct InspectOptions {
  std::string directory;
  std::string numerics = "auto";
  std::uint64_t memory = 0;  // 0: what the machine gives
  std::int64_t context = 0;  // 0: as long as fits
  int draft = 0;
  bool verify = false;
  bool json = false;
  bool tensors = false;
};

StackOptions stack_options(const InspectOptions& options) {
  StackOptions stack;
  stack.numerics = options.numerics;
  stack.memory = options.memory;
  stack.context = options.context;
  stack.draft = options.draft;
  return stack;
}

// Prints a line per shard as `sha256sum` does, so that published digests can be compared with it.
bool verify(const WeightStore& store, ModelReport& report, bool quiet) {
  std::uint64_t total = 0, before = 0;
  for (const Shard& shard : store.shards()) total += shard.bytes;
  bool good = true;
  Progress progress("Reading", total, {"", true}, progress_style_for(stderr));
  for (std::size_t s = 0; s < store.shards().size(); ++s) {
    const ShardCheck check = verify_shard(
        store, static_cast<int>(s), [&](std::uint64_t done) { progress.update(before + done); });
    before += store.shards()[s].bytes;
    if (!quiet) std::printf("%s  %s\n", check.sha256.c_str(), store.shards()[s].file.c_str());
    for (const BadNumbers& bad : check.bad) {
      good = false;
      std::fprintf(stderr, "plumb: %s\n",
                   str(store.shards()[s].file, ": tensor ", bad.tensor, " holds ", bad.count,
                       " values that are no numbers, the first at element ", bad.first, ".")
                       .c_str());
    }
    report.shards.push_back(check);
  }
  return good;
}

Result<ModelReport> read_model(const WeightStore& store, const InspectOptions& options) {
  ModelReport report;
  PLUMB_TRY(config,
            v4::Config::parse(store.config_json(), (store.directory() / "config.json").string()));
  report.config = std::move(config);
  PLUMB_TRY(totals, v4::check_inventory(report.config, store));
  report.totals = totals;
  v4::LoadOptions load;
  PLUMB_TRY(numerics, numerics_for(options.numerics, report.config));
  load.numerics = numerics;
  load.max_draft = options.draft;
  load.quick_drafts = true;
  load.max_rewind = std::max(load.max_rewind, load.max_draft);
  const StateLayout layout = v4::state_map(report.config, load).layout;
  report.state_per_token = layout.bytes_per_token();
  report.state_per_sequence = layout.tail_bytes();
  return report;
}

int run_inspect(const InspectOptions& options) {
  const std::filesystem::path directory =
      options.directory.empty() ? bundled_model() : std::filesystem::path(options.directory);
  const auto store = WeightStore::open(
      directory, {.headers_only = !options.verify, .canonical = v4::canonical_name});
  if (!store) return fail(store.error());
  auto report = read_model(**store, options);
  if (!report) return fail(report.error());
  const auto plan = plan_run(stack_options(options), **store, report->config);
  if (!plan) return fail(plan.error());
  report->plan = *plan;
  const bool whole = !options.verify || verify(**store, *report, options.json);
  const std::string text =
      options.json ? report_json(**store, *report) : report_text(**store, *report);
  std::fputs(text.c_str(), stdout);
  if (options.tensors && !options.json) std::fputs(tensor_list(**store).c_str(), stdout);
  if (!whole) return kExitBadModel;
  // Without a question about memory the totals are the answer, whatever the machine.
  const Status fits = check_plan(report->plan);
  if (fits) return kExitOk;
  if (options.context > 0 || options.memory > 0) return fail(fits.error());
  if (!options.json) std::printf("%s\n", fits.error().message.c_str());
  return kExitOk;
}

}  // namespace

void add_inspect(CLI::App& app, int& status) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand(
      "inspect", "Say what a model is, what it needs to run, and whether its files are whole.");
  command->add_option(
      "DIR,--model", options->directory,
      "Model directory with config.json and safetensors (default: the bundled model)");
  command
      ->add_option("--context", options->context,
                   "Plan for sequences of so many tokens (128k is 131072; default: what fits)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--memory", options->memory,
                   "Memory the run may use, such as 24GiB (default: what this machine gives)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber);
  command->add_option("--numerics", options->numerics, "Arithmetic to plan for")
      ->check(CLI::IsMember({"auto", "plain", "vendor", "fast"}))
      ->capture_default_str();
  command->add_option("--draft", options->draft, "Plan for drafts of so many tokens")
      ->check(CLI::Range(0, 16))
      ->capture_default_str();
  command->add_flag("--verify", options->verify,
                    "Read every byte: SHA-256 of each shard, values that are no numbers");
  command->add_flag("--tensors", options->tensors, "List every tensor");
  command->add_flag("--json", options->json, "The same as JSON");
  command->callback([options, &status] { status = run_inspect(*options); });
}

}  // namespace plumb
