// What a long prompt does to sequences that write, and they to it. Usage:
//
//   mixed_load_bench [DIR] [--numerics fast|plain|vendor] [--threads N] [--prompt 32768]
//                    [--writers 4,8] [--rounds 3] [--quiet-steps 500] [--step-ms 400]
//                    [--time wall|processor]
//
// Without DIR the bundled model is taken. A round: the prompt alone; then sequences write for a
// while, the prompt comes, is read beside them, and they go on writing for as long. Printed: time
// between tokens without the prompt (before and after) and beside it; time to the prompt's first
// token, alone and in company; and both ratios. Processor time is that of one thread, and tells
// the plan's doing from that of a busy machine.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/engine_core.h"
#include "loaded_model.h"

namespace plumb {
namespace {

constexpr int kWriterPrompt = 16;

struct Options {
  std::string directory = PLUMB_SOURCE_DIR "/models/minnow", numerics = "fast";
  int threads = 0, prompt = 32768, rounds = 3, quiet_steps = 500;
  double step_ms = 400;
  bool processor = false;
  std::vector<int> writers = {4, 8};
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name.rfind("--", 0) != 0) {
      o.directory = name;
      continue;
    }
    if (i + 1 >= argc || name.find('=') != name.npos) continue;  // of another kind of benchmark
    const std::string value = argv[++i];
    if (name == "--numerics") o.numerics = value;
    if (name == "--threads") o.threads = std::atoi(value.c_str());
    if (name == "--prompt") o.prompt = std::atoi(value.c_str());
    if (name == "--rounds") o.rounds = std::atoi(value.c_str());
    if (name == "--quiet-steps") o.quiet_steps = std::atoi(value.c_str());
    if (name == "--time") o.processor = value == "processor";
    if (name == "--step-ms") o.step_ms = std::atof(value.c_str());
    if (name != "--writers") continue;
    o.writers.clear();
    std::stringstream in(value);
    for (std::string part; std::getline(in, part, ',');)
      o.writers.push_back(std::atoi(part.c_str()));
  }
  if (o.processor) o.threads = 1;
  return o;
}

double ms_between(Deadline from, Deadline to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// Of the thread that asks, which is the engine's.
Deadline processor_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return Deadline(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

double percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))];
}

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

// A request and when its tokens came.
struct Stream {
  std::shared_ptr<Mailbox> mail;
  std::vector<Deadline> times;
};

class Bench {
 public:
  Bench(const Options& options, LanguageModel& model, StatePool& pool, const EngineOptions& engine)
      : options_(options),
        clock_(engine.clock),
        limits_(limits_of(model.info(), pool, engine)),
        core_(model, pool, engine) {}

  void round(int writers) {
    const double alone = first_token_ms();
    std::vector<Stream> streams;
    for (int i = 0; i < writers; ++i) streams.push_back(stream(kWriterPrompt, -1));
    writing_ = &streams;
    for (int i = 0; i < 20; ++i) step();
    const Deadline before = clock_();
    for (int i = 0; i < options_.quiet_steps; ++i) step();
    const Deadline came = clock_();
    const double company = first_token_ms();
    const Deadline read = clock_();
    for (int i = 0; i < 2; ++i) step();
    const Deadline settled = clock_();
    for (int i = 0; i < options_.quiet_steps; ++i) step();
    const Deadline end = clock_();
    std::vector<double> without, beside;
    for (const Stream& s : streams) {
      gaps(s, before, came, without);
      gaps(s, settled, end, without);
      gaps(s, came, read, beside);
      s.mail->cancelled = true;
    }
    step();
    writing_ = nullptr;
    report(writers, without, beside, alone, company);
  }

 private:
  void step() {
    if (const auto ran = core_.step(); !ran) die(ran.error().message);
    if (writing_) {
      for (Stream& s : *writing_) collect(s);
    }
  }

  void collect(Stream& s) {
    while (auto event = s.mail->events.try_pop()) {
      if (std::holds_alternative<TokenEvent>(*event)) s.times.push_back(clock_());
      if (const auto* end = std::get_if<GenerationEnd>(&*event); end && end->error) {
        die(end->error->message);
      }
    }
  }

  // Of another long prompt.
  double first_token_ms() {
    const Deadline start = clock_();
    for (Stream s = stream(options_.prompt, 1); s.times.empty(); collect(s)) step();
    return ms_between(start, clock_());
  }

  // Times between tokens of which the later one came in [from, to).
  static void gaps(const Stream& s, Deadline from, Deadline to, std::vector<double>& out) {
    for (std::size_t i = 1; i < s.times.size(); ++i) {
      if (s.times[i] < from || s.times[i] >= to) continue;
      out.push_back(ms_between(s.times[i - 1], s.times[i]));
    }
  }

  // Every prompt is another, so that none finds a prefix.
  Stream stream(int prompt, int max_tokens) {
    GenerateRequest request;
    const auto vocab = static_cast<std::uint64_t>(limits_.vocab);
    ++prompts_;
    for (int t = 0; t < prompt; ++t) {
      request.prompt.push_back(
          static_cast<Token>(random_bits(5, static_cast<std::uint64_t>(t), prompts_) % vocab));
    }
    request.max_tokens = max_tokens;
    request.sampling.seed = prompts_;
    Stream s{make_mailbox(request, limits_.context), {}};
    core_.add(std::move(request), s.mail);
    return s;
  }

  static void report(int writers, const std::vector<double>& without,
                     const std::vector<double>& beside, double alone, double company) {
    const double p50 = percentile(without, 0.5), p99 = percentile(without, 0.99);
    const double p50_beside = percentile(beside, 0.5), p99_beside = percentile(beside, 0.99);
    std::printf("%7d %9.2f %9.2f %9.2f %9.2f %7.2f %7.2f %10.0f %10.0f %7.2f\n", writers, p50, p99,
                p50_beside, p99_beside, p50_beside / p50, p99_beside / p99, alone, company,
                company / alone);
    std::fflush(stdout);
  }

  const Options& options_;
  std::function<Deadline()> clock_;
  EngineLimits limits_;
  EngineCore core_;
  std::vector<Stream>* writing_ = nullptr;
  std::uint64_t prompts_ = 0;
};

int run(const Options& o) {
  deepseek_v4::LoadOptions load_options;
  load_options.numerics = Numerics::named(o.numerics);
  auto loaded = load_model(o.directory, o.threads, load_options);
  if (!loaded) die(loaded.error().message);
  LanguageModel& model = *(*loaded)->model;
  const int most = *std::max_element(o.writers.begin(), o.writers.end());
  const StateLayout& layout = model.state_layout();
  // A writer never writes more beside the prompt than there are steps, one per token at most.
  const int longest = kWriterPrompt + o.prompt + 4 * o.quiet_steps;
  PoolOptions pool_options;
  pool_options.sequences = most + 1;
  pool_options.pages = (most + 1) * (longest / layout.page_tokens + 2);
  auto pool = StatePool::create(*(*loaded)->device, layout, pool_options);
  if (!pool) die(pool.error().message);
  model.attach(**pool);
  EngineOptions options;
  options.scheduler.max_sequences = most + 1;
  options.step_ms = o.step_ms;
  options.max_context = longest;
  if (o.processor) options.clock = processor_time;
  std::printf("%s, %s, %d threads, prompt of %d tokens; ms of %s time\n", o.directory.c_str(),
              o.numerics.c_str(), (*loaded)->device->threads(), o.prompt,
              o.processor ? "processor" : "wall-clock");
  std::printf("%7s %39s %15s %21s %7s\n", "", "between tokens, without and beside", "ratio",
              "first token", "");
  std::printf("%7s %9s %9s %9s %9s %7s %7s %10s %10s %7s\n", "writers", "p50", "p99", "p50", "p99",
              "p50", "p99", "alone", "company", "ratio");
  Bench bench(o, model, **pool, options);
  for (const int writers : o.writers) {
    for (int i = 0; i < o.rounds; ++i) bench.round(writers);
  }
  return 0;
}

}  // namespace
}  // namespace plumb

int main(int argc, char** argv) { return plumb::run(plumb::parse(argc, argv)); }
