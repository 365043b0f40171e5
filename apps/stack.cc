#include "apps/stack.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <utility>

#include "apps/model_dir.h"
#include "apps/sampling_options.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/strings.h"
#include "base/topology.h"
#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/inventory.h"
#include "model/deepseek_v4/model.h"
#include "model/deepseek_v4/names.h"

namespace plumb {
namespace {

namespace v4 = deepseek_v4;

constexpr std::size_t kMaxTokenizerBytes = std::size_t{64} << 20;
constexpr int kSnapshots = 8;  // of full length, for prefixes that later prompts share

std::filesystem::path model_directory(const std::string& model) {
  return model.empty() ? bundled_model() : std::filesystem::path(model);
}

v4::LoadOptions load_options(const StackOptions& options, const Numerics& numerics) {
  v4::LoadOptions load;
  load.numerics = numerics;
  load.max_draft = options.draft;
  load.quick_drafts = true;
  load.max_rewind = std::max(load.max_rewind, load.max_draft);
  load.max_scored_rows = std::max(options.max_scored_rows, options.draft + 1);
  if (options.step_tokens > 0) load.max_step_tokens = options.step_tokens;
  load.max_step_tokens = std::max<int>(load.max_step_tokens, load.max_scored_rows);
  return load;
}

// The pool for one sequence of `context` tokens, or for several that share as many.
PoolOptions pool_options(const StackOptions& options, const StateLayout& layout, Pos context) {
  PoolOptions pool;
  // A page more per sequence: none ends exactly where its last page does.
  pool.sequences = options.sequences + options.sessions;
  pool.pages = static_cast<int>((context + layout.page_tokens - 1) / layout.page_tokens) + pool.sequences;
  pool.snapshot_bytes = kSnapshots * (layout.tail_bytes() + static_cast<std::size_t>(context) * sizeof(Key));
  return pool;
}

Result<MemoryPlan> plan_for(const StackOptions& options, const WeightStore& store, const v4::Config& config,
                            const v4::LoadOptions& load, const StateLayout& layout) {
  PLUMB_TRY(totals, v4::check_inventory(config, store));
  MemoryNeeds needs;
  needs.weights = totals.all.bytes;
  if (load.max_draft == 0) {
    needs.weights -= totals.parts[static_cast<std::size_t>(v4::Part::kDraft)].bytes;
  }
  needs.scratch = v4::scratch_bytes(config, load);
  const PoolOptions fixed = pool_options(options, layout, 0);
  needs.per_sequence = StatePool::bytes_needed(layout, fixed);
  needs.per_token = layout.bytes_per_token() + kSnapshots * sizeof(Key);
  needs.page_tokens = layout.page_tokens;
  const std::uint64_t available = options.memory > 0 ? options.memory : usable_memory_bytes();
  const Pos longest = config.max_positions;
  if (options.context > 0) return plan_memory(needs, options.context, 1, available, longest);
  MemoryPlan plan = plan_memory(needs, std::min(longest, kDefaultContext), 1, available, longest);
  if (!plan.fits() && plan.largest_context > 0) {
    plan = plan_memory(needs, plan.largest_context, 1, available, longest);
  }
  return plan;
}

Status check_options(const StackOptions& options, const v4::Config& config) {
  if (options.context > config.max_positions) {
    return Error{Code::kInvalid, str("--context is ", options.context, ", expected at most ",
                                     config.max_positions, ", the model's own limit.")};
  }
  if (options.draft > 0 && config.mtp_layers == 0) {
    return Error{Code::kUnsupported, str("--draft is ", options.draft,
                                         ", but this checkpoint has no block that drafts (mtp.0).")};
  }
  return {};
}

// A model without a generation_config.json is sampled as it is.
Status read_defaults(const std::filesystem::path& directory, Stack& stack) {
  const std::filesystem::path path = directory / "generation_config.json";
  const Result<std::string> text = read_file(path, 1 << 20);
  if (!text && text.error().code == Code::kNotFound) return {};
  if (!text) return text.error();
  PLUMB_TRY(defaults, parse_generation_config(*text, path.string()));
  stack.defaults = std::move(defaults);
  return {};
}

Status load_model(const StackOptions& options, const v4::Config& config, v4::LoadOptions load, Stack& stack) {
  Progress progress("Loading " + stack.name, stack.plan.needs.weights, {"", true},
                    options.quiet ? ProgressStyle::kQuiet : progress_style_for(stderr));
  load.progress = [&](std::uint64_t done, std::uint64_t) {
    progress.update(done);
    return !interrupted();
  };
  PLUMB_TRY(model, v4::load(*stack.store, config, *stack.device, load));
  stack.model = std::move(model);
  return {};
}

Status start_engine(const StackOptions& options, Stack& stack) {
  const StateLayout& layout = stack.model->state_layout();
  PLUMB_TRY(pool, StatePool::create(*stack.device, layout, pool_options(options, layout, stack.context)));
  stack.pool = std::move(pool);
  stack.model->attach(*stack.pool);
  EngineOptions engine;
  engine.scheduler.max_sequences = options.sequences;
  engine.scheduler.max_step_tokens = stack.model->info().max_step_tokens;
  engine.scheduler.max_scored_rows = stack.model->info().max_scored_rows;
  engine.max_queue = options.max_queue;
  engine.drafts = options.draft;
  engine.max_sessions = std::max(options.sessions, 1);
  engine.step_ms = options.step_ms;
  engine.max_context = stack.context;
  PLUMB_TRY(started, Engine::start(*stack.model, *stack.pool, engine));
  stack.engine = std::move(started);
  stack.provider =
      std::make_unique<LocalProvider>(stack.name, *stack.tokenizer, stack.format.get(), *stack.engine);
  return {};
}

}  // namespace

Result<Numerics> numerics_for(const std::string& name, const v4::Config& config) {
  if (name == "plain") return Numerics::plain();
  const Status suits = v4::check_simulation(config);
  if (name == "auto") return suits ? Numerics::fast() : Numerics::plain();
  if (!suits) return suits.error();
  return Numerics::named(name);
}

void add_stack_options(CLI::App& command, StackOptions& options) {
  command.add_option("--model", options.model, "Model directory (default: the bundled model)");
  command.add_option("--numerics", options.numerics, "Arithmetic: plain, vendor with every rounding of the published reference, fast with cheaper products, or auto: fast where the model suits it")
      ->check(CLI::IsMember({"auto", "plain", "vendor", "fast"}))
      ->capture_default_str();
  command.add_option("--threads", options.threads, "Compute threads (default: one per usable core)")
      ->check(CLI::Range(0, 4096));
  command.add_option("--memory", options.memory, "Memory the run may use, such as 24GiB (default: what this machine gives)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber);
  command.add_option("--context", options.context, "Tokens that prompt and answer may have together (128k is 131072; default: what fits)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber);
  command.add_option("--draft", options.draft, "Tokens the model's draft block guesses per step; never changes an answer")
      ->check(CLI::Range(0, 16))
      ->capture_default_str();
  command.add_option("--device", options.device, "auto, cpu, or ref: the slow yardstick")->capture_default_str();
  command.add_option("--isa", options.isa, "auto, baseline; avx2, avx512, avx512-bf16 (x86-64); neon, neon-bf16 (aarch64)")->capture_default_str();
  command.add_flag("--plan", options.plan, "Print the memory plan to stderr");
}

Result<MemoryPlan> plan_run(const StackOptions& options, const WeightStore& store,
                            const v4::Config& config) {
  PLUMB_TRY_STATUS(check_options(options, config));
  PLUMB_TRY(numerics, numerics_for(options.numerics, config));
  const v4::LoadOptions load = load_options(options, numerics);
  return plan_for(options, store, config, load, v4::state_map(config, load).layout);
}

Result<std::unique_ptr<Stack>> open_stack(const StackOptions& options) {
  auto stack = std::make_unique<Stack>();
  const std::filesystem::path directory = model_directory(options.model);
  stack->name = std::filesystem::absolute(directory).lexically_normal().filename().string();
  if (stack->name.empty()) stack->name = "model";
  if (!options.name.empty()) stack->name = options.name;
  PLUMB_TRY(device, open_device({options.device, options.isa, options.threads}));
  stack->device = std::move(device);
  OpenOptions open;
  open.canonical = v4::canonical_name;
  PLUMB_TRY(store, WeightStore::open(directory, open));
  stack->store = std::move(store);
  PLUMB_TRY(config, v4::Config::parse(stack->store->config_json(), (directory / "config.json").string()));
  PLUMB_TRY(plan, plan_run(options, *stack->store, config));
  PLUMB_TRY(tokenizer, open_tokenizer(options.model));
  stack->tokenizer = std::move(tokenizer);
  auto format = make_deepseek_v4_format(*stack->tokenizer);
  if (format) {
    stack->format = std::move(*format);
  } else {
    stack->no_chat_reason = format.error().message;
  }
  PLUMB_TRY_STATUS(read_defaults(directory, *stack));
  stack->plan = plan;
  stack->context = plan.context;
  if (options.plan) std::fputs(describe_plan(plan).c_str(), stderr);
  PLUMB_TRY_STATUS(check_plan(plan));
  PLUMB_TRY(numerics, numerics_for(options.numerics, config));
  PLUMB_TRY_STATUS(load_model(options, config, load_options(options, numerics), *stack));
  if (options.engine) PLUMB_TRY_STATUS(start_engine(options, *stack));
  return stack;
}

Result<std::unique_ptr<const Tokenizer>> open_tokenizer(const std::string& model) {
  const std::filesystem::path path = model_directory(model) / "tokenizer.json";
  PLUMB_TRY(text, read_file(path, kMaxTokenizerBytes));
  auto tokenizer = Tokenizer::load(text);
  if (!tokenizer) {
    return Error{tokenizer.error().code, path.string() + ": " + tokenizer.error().message};
  }
  return tokenizer;
}

}  // namespace plumb
