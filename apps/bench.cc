// plumb bench: what this machine can do, and how near the model comes to it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/bench_report.h"
#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/rival.h"
#include "apps/stack.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/strings.h"
#include "base/topology.h"
#include "measure/numbers.h"
#include "model/deepseek_v4/model.h"
#include "model/deepseek_v4/traffic.h"

namespace plumb {
namespace {

namespace v4 = deepseek_v4;

constexpr std::uint64_t kProbeBytes = std::uint64_t{768} << 20;
constexpr std::uint64_t kProbeCaches = 4;  // times the last-level caches, at least
constexpr std::uint64_t kQuickProbeBytes = std::uint64_t{24} << 20;
constexpr std::uint64_t kSeed = 1;
constexpr int kMaxBatch = 1024;

struct BenchOptions {
  StackOptions stack;
  std::string prefill = "512,2k", depth = "0,4k,16k,64k", batch = "1,2,4,8,16";
  int reps = 10;
  int steps = 16;
  int kl_positions = 256;
  std::uint64_t probe = 0;  // bytes; 0: what suits the machine
  bool no_kl = false;
  bool quick = false;
  bool json = false;
  std::string against;
};

struct Cell {
  Pos depth = 0;
  int batch = 1;
};

struct Plan {
  std::vector<std::int64_t> prefill;
  std::vector<Cell> decode;
  int most_sequences = 1;
  Pos longest = 0;  // of one sequence
};

// Every depth with the first batch size, and every further batch size at the first depth.
Result<Plan> plan_runs(const BenchOptions& options) {
  Plan plan;
  if (options.stack.context > 0) {
    return Error{Code::kInvalid, str("--context is ", options.stack.context,
                                     ", but --prefill and --depth say how long the runs are.")};
  }
  if (options.stack.draft > 0) {
    return Error{Code::kInvalid, str("--draft is ", options.stack.draft,
                                     ", but plumb bench decodes without drafts.")};
  }
  PLUMB_TRY(prefill, measure::parse_counts(options.prefill, "--prefill", 1, 1 << 24));
  PLUMB_TRY(depths, measure::parse_counts(options.depth, "--depth", 0, 1 << 24));
  PLUMB_TRY(batches, measure::parse_counts(options.batch, "--batch", 1, kMaxBatch));
  plan.prefill = std::move(prefill);
  for (std::size_t b = 0; b < batches.size(); ++b) {
    for (std::size_t d = 0; d < depths.size(); ++d) {
      if (b > 0 && d > 0) break;
      plan.decode.push_back({depths[d], static_cast<int>(batches[b])});
    }
  }
  for (const std::int64_t tokens : plan.prefill) plan.longest = std::max(plan.longest, tokens);
  for (const Cell& cell : plan.decode) {
    plan.longest = std::max(plan.longest, cell.depth + options.steps);
    plan.most_sequences = std::max(plan.most_sequences, cell.batch);
  }
  if (plan.prefill.empty() && plan.decode.empty()) {
    return Error{Code::kInvalid, "--prefill, --depth and --batch leave nothing to measure."};
  }
  if (!options.against.empty() && plan.prefill.size() + plan.decode.size() != 1) {
    return Error{Code::kInvalid, str("--against compares one run, but the lists ask for ",
                                     plan.prefill.size() + plan.decode.size(),
                                     "; leave one, such as --prefill none --depth 0 --batch 1.")};
  }
  return plan;
}

// Room for the largest of the runs.
PoolOptions pool_for(const BenchOptions& options, const Plan& plan, const StateLayout& layout) {
  const auto pages = [&](Pos tokens) {
    return static_cast<int>((tokens + layout.page_tokens - 1) / layout.page_tokens);
  };
  PoolOptions pool;
  pool.sequences = plan.most_sequences;
  pool.pages = 1;
  for (const std::int64_t tokens : plan.prefill) pool.pages = std::max(pool.pages, pages(tokens));
  for (const Cell& cell : plan.decode) {
    pool.pages = std::max(pool.pages, cell.batch * pages(cell.depth + options.steps));
  }
  return pool;
}

Result<std::unique_ptr<StatePool>> make_pool(Device& device, LanguageModel& model,
                                             const PoolOptions& options) {
  const std::uint64_t needed = StatePool::bytes_needed(model.state_layout(), options);
  const std::uint64_t free = usable_memory_bytes();
  if (needed > free) {
    return Error{Code::kExhausted, str("The caches of these runs need ", bytes_text(needed),
                                       ", but this machine has ", bytes_text(free),
                                       " left; expected smaller --depth or --batch.")};
  }
  PLUMB_TRY(pool, StatePool::create(device, model.state_layout(), options));
  model.attach(*pool);
  return std::move(pool);
}

v4::LoadOptions sizes_of(const ModelInfo& info) {
  v4::LoadOptions load;
  load.max_step_tokens = info.max_step_tokens;
  load.max_scored_rows = info.max_scored_rows;
  return load;
}

// Memory that a probe reads: so much that the caches hold little of it.
std::uint64_t probe_bytes(const BenchOptions& options) {
  if (options.probe > 0) return options.probe;
  if (options.quick) return kQuickProbeBytes;
  const std::uint64_t wanted =
      std::max(kProbeBytes, kProbeCaches * measure::last_level_cache_bytes());
  return std::min(wanted, usable_memory_bytes() / 4);
}

measure::CostModel cost_model(const v4::Config& config, const v4::Totals& totals,
                              const Numerics& numerics, int max_rewind) {
  auto map = std::make_shared<v4::StateMap>(v4::map_state(config, numerics, max_rewind, false));
  measure::CostModel cost;
  cost.layers = static_cast<int>(config.layers.size());
  cost.weight_bytes = [config, totals](int tokens, double experts_met) {
    return v4::weight_bytes_read(totals, config, tokens, experts_met);
  };
  cost.cache_bytes = [config, map](Pos at) { return v4::cache_bytes_read(config, *map, at); };
  cost.weight_ops = [totals](bool scored) { return v4::weight_ops(totals, scored); };
  cost.cache_ops = [config](Pos at) { return v4::cache_ops(config, at); };
  return cost;
}

// The same checkpoint a second time in plain numerics, for as long as it is compared with.
Status measure_kl(const BenchOptions& options, Stack& stack, const v4::Config& config,
                  std::uint64_t weights, BenchReport& report) {
  const int positions = std::min<int>(options.quick ? 32 : options.kl_positions,
                                      static_cast<int>(config.max_positions));
  if (options.no_kl) {
    report.no_kl_reason = "not asked for";
    return {};
  }
  if (stack.model->info().numerics.mode == NumericsMode::kPlain) {
    report.kl = measure::Comparison{{positions, 0, 0, 1}, {positions, 0, 0, 1}};
    return {};
  }
  v4::LoadOptions load = sizes_of(stack.model->info());
  load.numerics = Numerics::plain();
  if (usable_memory_bytes() < weights + v4::scratch_bytes(config, load)) {
    report.no_kl_reason = "not enough memory to load the weights a second time";
    return {};
  }
  PLUMB_TRY(device, open_device({options.stack.device, options.stack.isa, options.stack.threads}));
  PLUMB_TRY(plain, v4::load(*stack.store, config, *device, load));
  const auto pool_of = [&](LanguageModel& model, int sequences) {
    const int page = model.state_layout().page_tokens;
    return PoolOptions{sequences * ((positions + page - 1) / page), sequences, 0};
  };
  PLUMB_TRY(plain_pool, make_pool(*device, *plain, pool_of(*plain, 1)));
  PLUMB_TRY(pool, make_pool(*stack.device, *stack.model, pool_of(*stack.model, 2)));
  Progress progress("Comparing with plain", static_cast<std::uint64_t>(positions),
                    {"tokens", false}, progress_style_for(stderr));
  PLUMB_TRY(kl, measure::compare_logits(*plain, *plain_pool, *stack.model, *pool, positions, kSeed,
                                        [&](int done) {
                                          progress.update(static_cast<std::uint64_t>(done));
                                          return !interrupted();
                                        }));
  report.kl = kl;
  return {};
}

void print(const BenchOptions& options, const std::string& text) {
  if (options.json) return;
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

Status measure_runs(const BenchOptions& options, const Plan& plan, measure::Runner& runner,
                    BenchReport& report) {
  for (const std::int64_t tokens : plan.prefill) {
    PLUMB_TRY(run, runner.prefill(static_cast<int>(tokens)));
    print(options, prefill_text(report, run));
    report.prefill.push_back(std::move(run));
  }
  for (const Cell& cell : plan.decode) {
    PLUMB_TRY(run, runner.decode(cell.depth, cell.batch));
    print(options, decode_text(report, run));
    report.decode.push_back(std::move(run));
  }
  return {};
}

// What --quick means: enough to see that everything works, not to be quoted.
void make_quick(BenchOptions& options) {
  options.prefill = "64";
  options.depth = "0,256";
  options.batch = "1,2";
  options.reps = 1;
  options.steps = 2;
}

Status bench(const BenchOptions& options, const Plan& plan, BenchReport& report) {
  StackOptions stack_options = options.stack;
  stack_options.engine = false;
  stack_options.sequences = plan.most_sequences;
  stack_options.context = plan.longest;
  stack_options.max_scored_rows = std::max(plan.most_sequences, 32);
  PLUMB_TRY(stack, open_stack(stack_options));
  PLUMB_TRY(config, v4::Config::parse(stack->store->config_json()));
  PLUMB_TRY(totals, v4::check_inventory(config, *stack->store));
  report.model = stack->name;
  report.numerics = stack->model->info().numerics.id();
  report.device = std::string(stack->device->name());
  report.threads = stack->device->threads();
  report.step_tokens = stack->model->info().max_step_tokens;
  report.processor = measure::processor_name();
  report.probe_bytes = probe_bytes(options);
  report.rival = options.against;
  PLUMB_TRY(machine, measure::Machine::create(report.threads, report.probe_bytes));
  report.limits = machine->limits(options.quick ? 1 : 5);
  print(options, bench_head(report));
  {
    const StateLayout& layout = stack->model->state_layout();
    PLUMB_TRY(pool, make_pool(*stack->device, *stack->model, pool_for(options, plan, layout)));
    measure::RunOptions run;
    run.reps = options.reps;
    run.steps = options.steps;
    run.seed = kSeed;
    if (!options.against.empty()) {
      run.rival = [&options] { return rival_speed(options.against); };
    }
    measure::Runner runner(
        *stack->model, *pool, *machine,
        cost_model(config, totals, stack->model->info().numerics, layout.max_rewind), run);
    PLUMB_TRY_STATUS(measure_runs(options, plan, runner, report));
  }
  machine.reset();
  PLUMB_TRY_STATUS(measure_kl(options, *stack, config, totals.all.bytes, report));
  print(options, bench_tail(report));
  return {};
}

int run_bench(BenchOptions options) {
  install_interrupt_counter();
  if (options.quick) make_quick(options);
  const auto plan = plan_runs(options);
  if (!plan) return fail(plan.error());
  BenchReport report;
  const Status done = bench(options, *plan, report);
  if (!done) return fail(done.error());
  if (options.json) std::printf("%s\n", bench_json(report).dump_pretty().c_str());
  return kExitOk;
}

constexpr const char* kFooter =
    "Every repetition is measured between two probes of the machine (reading memory, multiplying); "
    "it counts when they\ndiffer by at most 10 %, and is repeated when they do not. Printed are "
    "medians.\n\n"
    "bytes per token  what a step reads of the weights as they are stored, divided by the batch: "
    "everything outside the\n                 routed experts once, of these the ones that the "
    "batch's tokens chose together (counted in a\n                 further pass), one row of the "
    "embedding per token; and the rows that a token reads of its cache\n"
    "bound            the larger of bytes / bandwidth and operations / the speed of the experts' "
    "products alone at that\n                 batch, with weights that stay in the caches\n"
    "prefill          operations are 2 x the weights a token meets, the output head and attention "
    "left out\n\n"
    "Example:\n  plumb synth --config bench-v4-2b DIR\n  plumb bench --model DIR --json\n"
    "  plumb bench --model DIR --prefill none --depth 0 --batch 1 --against './rival | tail -1'";

}  // namespace

void add_bench(CLI::App& app, int& status) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand(
      "bench", "Measure reading prompts and decoding against what the machine can do.");
  auto* prefill = command->add_option("--prefill", options->prefill, "Lengths of prompts, or none");
  auto* depth =
      command->add_option("--depth", options->depth,
                          "Tokens in the cache when decoding begins, or none; made, not read");
  auto* batch = command->add_option(
      "--batch", options->batch,
      "Sequences that decode together: all depths with the first, the first depth with all");
  auto* reps = command->add_option("--reps", options->reps, "Repetitions that must count, per run")
                   ->check(CLI::Range(1, 1000));
  for (CLI::Option* option : {prefill, depth, batch, reps}) option->capture_default_str();
  command->add_option("--step", options->stack.step_tokens, "Tokens of a prompt per forward pass")
      ->check(CLI::Range(1, 1 << 16));
  command
      ->add_option("--probe", options->probe,
                   "Memory that a probe reads, such as 2GiB (default: 768 MiB, more where caches "
                   "are large)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 40));
  command->add_option("--kl-positions", options->kl_positions, "Tokens to compare with plain")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_flag("--no-kl", options->no_kl, "Do not compare with the plain numerics");
  auto* quick = command->add_flag("--quick", options->quick,
                                  "A short look at everything; its figures are not worth quoting");
  for (CLI::Option* option : {prefill, depth, batch, reps}) quick->excludes(option);
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option(
      "--against", options->against,
      "A shell command to run between repetitions of the one run asked for; the last "
      "number it prints is its tokens per second");
  add_stack_options(*command, options->stack);
  command->footer(kFooter);
  command->callback([options, &status] { status = run_bench(*options); });
}

}  // namespace plumb
