// Everything a run of a model consists of, built in one place.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "apps/memory_plan.h"
#include "base/result.h"
#include "cache/state_pool.h"
#include "checkpoint/weight_store.h"
#include "device/device.h"
#include "engine/engine.h"
#include "gateway/local_provider.h"
#include "model/language_model.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace CLI {
class App;
}

namespace plumb {

namespace deepseek_v4 {
struct Config;
}

struct StackOptions {
  std::string model;               // directory; empty: the bundled model
  std::string numerics = "auto";   // or "plain", "vendor", "fast"
  std::string device = "auto";
  std::string isa = "auto";
  int threads = 0;                 // 0: one per usable core
  std::uint64_t memory = 0;        // bytes the run may use; 0: what the machine gives
  std::int64_t context = 0;        // tokens of one sequence; 0: what fits, at most kDefaultContext
  int draft = 0;                   // tokens to draft per step
  bool plan = false;               // print the memory plan to stderr

  // Not on the command line: how the program uses the engine.
  int sequences = 1;               // at the same time
  int max_scored_rows = 32;
  int sessions = 1;
  int max_queue = 1 << 20;         // requests that wait
  std::string name;                // of the model; empty: its directory's
  bool quiet = false;              // no progress on stderr
  int step_tokens = 0;             // of one forward pass; 0: the model's own choice
  double step_ms = 400;            // of one step, see EngineOptions
  bool engine = true;              // false: no pool, engine and provider; the model is the caller's
};

inline constexpr Pos kDefaultContext = 131072;

// The numerics that `name` stands for: "auto" is fast, or plain where the model's widths do not suit what
// fast simulates; any other name is that one, and kUnsupported says why the model does not suit it.
Result<Numerics> numerics_for(const std::string& name, const deepseek_v4::Config& config);

// --model, --numerics, --threads, --memory, --context, --draft, --device, --isa, --plan.
void add_stack_options(CLI::App& command, StackOptions& options);

// Members in order of construction, so that destruction runs backwards.
struct Stack {
  std::unique_ptr<Device> device;
  std::unique_ptr<WeightStore> store;
  std::unique_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<const ChatFormat> format;  // null: the tokenizer has no chat tokens
  std::string no_chat_reason;                // then
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<StatePool> pool;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<LocalProvider> provider;
  SamplingParams defaults;  // as the model's generation_config.json has them
  MemoryPlan plan;
  Pos context = 0;  // tokens that a prompt and its answer may have together
  std::string name;  // of the model: its directory's name
};

// Opens and checks everything, in the order of the struct. Shows progress on stderr. kExhausted: the
// memory plan does not fit (nothing was taken then); kCancelled: Ctrl-C.
Result<std::unique_ptr<Stack>> open_stack(const StackOptions& options);

// The memory that open_stack() would take for these options, from config and headers alone; checks the
// options against the model. The store may hold headers only.
Result<MemoryPlan> plan_run(const StackOptions& options, const WeightStore& store,
                            const deepseek_v4::Config& config);

// Only the tokenizer of a model directory (empty: the bundled model).
Result<std::unique_ptr<const Tokenizer>> open_tokenizer(const std::string& model);

}  // namespace plumb
