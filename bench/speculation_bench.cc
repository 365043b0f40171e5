// What speculation gains or loses on a checkpoint with a draft block, drafts being right as often
// as scripted. Usage:
//
//   speculation_bench DIR [--numerics fast|plain|vendor] [--threads N] [--drafts 3] [--pairs 20]
//                     [--tokens 96] [--right 0,0.3,0.6,0.8,0.9] [--batch 1,2,4]
//
// Pairs of runs, with and without drafts, take turns; a pair counts if the read bandwidth just
// before and just after it differs by at most 10 %. Printed per case: median of the ratios of
// tokens per second, and the order statistic below which the true median lies with 5 % at most.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "engine/engine_core.h"
#include "engine/scripted_drafts.h"
#include "loaded_model.h"

namespace plumb {
namespace {

constexpr int kPromptTokens = 16;
constexpr double kSteady = 1.1;  // probes beside a pair may differ by this factor
constexpr std::size_t kProbeBytes = std::size_t{256} << 20;

struct Options {
  std::string directory, numerics = "fast";
  int threads = 0, drafts = 3, pairs = 20, tokens = 96;
  std::vector<double> right = {0, 0.3, 0.6, 0.8, 0.9}, batch = {1, 2, 4};
};

std::vector<double> numbers(const std::string& list) {
  std::vector<double> out;
  std::stringstream in(list);
  for (std::string part; std::getline(in, part, ',');) out.push_back(std::atof(part.c_str()));
  return out;
}

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
    if (name == "--drafts") o.drafts = std::atoi(value.c_str());
    if (name == "--pairs") o.pairs = std::atoi(value.c_str());
    if (name == "--tokens") o.tokens = std::atoi(value.c_str());
    if (name == "--right") o.right = numbers(value);
    if (name == "--batch") o.batch = numbers(value);
  }
  return o;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<std::unique_ptr<LoadedModel>> load(const Options& o) {
  deepseek_v4::LoadOptions load_options;
  load_options.numerics = Numerics::named(o.numerics);
  load_options.max_draft = o.drafts;
  load_options.quick_drafts = true;
  load_options.max_rewind = std::max(load_options.max_rewind, o.drafts);
  return load_model(o.directory, o.threads, load_options);
}

// One model, its pool, and two engines over them that differ in drafting alone.
class Bench {
 public:
  Bench(const Options& options, LoadedModel& loaded, StatePool& pool, int batch, double right)
      : options_(options),
        batch_(batch),
        pool_(pool),
        scripted_(*loaded.model, right, 1),
        probe_pool_(loaded.device->threads()),
        memory_(kProbeBytes / 8, 3) {
    EngineOptions engine;
    engine.scheduler.max_sequences = batch;
    off_ = std::make_unique<EngineCore>(scripted_, pool, engine);
    engine.drafts = options.drafts;
    on_ = std::make_unique<EngineCore>(scripted_, pool, engine);
    // Sequences part ways when drafts are right in one and wrong in another: twice as long.
    for (const std::vector<Token>& text : run(*off_, 2 * options.tokens).texts) {
      scripted_.record(text);
    }
  }

  struct Ratios {
    std::vector<double> values;
    int rejected = 0, drafted = 0, accepted = 0;
    double off_tok_s = 0;  // of the last pair
  };

  Ratios pairs() {
    Ratios out;
    for (int i = 0; static_cast<int>(out.values.size()) < options_.pairs; ++i) {
      if (out.rejected > 3 * options_.pairs) break;
      const double before = probe();
      double off = 0;
      if (i % 2 == 0) off = run(*off_, options_.tokens).tok_s;
      const Run on = run(*on_, options_.tokens);
      if (i % 2 == 1) off = run(*off_, options_.tokens).tok_s;
      const double after = probe();
      out.drafted += on.drafted;
      out.accepted += on.accepted;
      out.off_tok_s = off;
      if (std::max(before, after) > kSteady * std::min(before, after)) {
        ++out.rejected;
      } else {
        out.values.push_back(on.tok_s / off);
      }
    }
    std::sort(out.values.begin(), out.values.end());
    return out;
  }

 private:
  struct Run {
    std::vector<std::vector<Token>> texts;  // prompts and answers
    double tok_s = 0;
    int drafted = 0, accepted = 0;
  };

  std::vector<Token> prompt(int sequence) const {
    std::vector<Token> tokens;
    const auto vocab = static_cast<std::uint64_t>(scripted_.info().vocab);
    for (std::uint64_t t = 0; t < kPromptTokens; ++t) {
      tokens.push_back(
          static_cast<Token>(random_bits(9, t, static_cast<std::uint64_t>(sequence)) % vocab));
    }
    return tokens;
  }

  // Decodes until the sequences together have `tokens` each; reading the prompts is not timed.
  Run run(EngineCore& core, int tokens) {
    std::vector<std::shared_ptr<Mailbox>> mails;
    const EngineLimits limits = limits_of(scripted_.info(), pool_, {});
    const EngineStats before = core.stats();
    for (int i = 0; i < batch_; ++i) {
      GenerateRequest request;
      request.prompt = prompt(i);
      request.max_tokens = 4 * tokens;
      request.sampling.seed = static_cast<std::uint64_t>(i);
      mails.push_back(make_mailbox(request, limits.context));
      core.add(std::move(request), mails.back());
    }
    const auto written = [&] { return core.stats().generated - before.generated; };
    const auto step = [&] {
      if (const auto ran = core.step(); !ran) {
        std::fprintf(stderr, "%s\n", ran.error().message.c_str());
        std::exit(1);
      }
    };
    while (written() < static_cast<std::uint64_t>(batch_)) step();
    const std::uint64_t first = written();
    const auto start = std::chrono::steady_clock::now();
    while (written() < static_cast<std::uint64_t>(batch_ * tokens)) step();
    Run out;
    out.tok_s = static_cast<double>(written() - first) / seconds_since(start);
    for (const auto& mail : mails) mail->cancelled = true;
    while (!core.idle()) step();
    for (int i = 0; i < batch_; ++i) {
      out.texts.push_back(prompt(i));
      while (auto event = mails[static_cast<std::size_t>(i)]->events.try_pop()) {
        if (const auto* token = std::get_if<TokenEvent>(&*event)) {
          out.texts.back().push_back(token->token);
        }
      }
    }
    out.drafted = static_cast<int>(core.stats().drafted - before.drafted);
    out.accepted = static_cast<int>(core.stats().accepted - before.accepted);
    return out;
  }

  // Bytes per second that all threads read together.
  double probe() {
    double best = 0;
    for (int round = 0; round < 3; ++round) {
      const auto start = std::chrono::steady_clock::now();
      std::atomic<std::uint64_t> total{0};
      probe_pool_.run(static_cast<std::int64_t>(memory_.size()), 1 << 17,
                      [&](std::int64_t begin, std::int64_t end, int) {
                        std::uint64_t part[8] = {};
                        for (std::int64_t i = begin; i + 8 <= end; i += 8) {
                          for (int l = 0; l < 8; ++l) {
                            part[l] += memory_[static_cast<std::size_t>(i + l)];
                          }
                        }
                        for (const std::uint64_t p : part) total += p;
                      });
      best = std::max(best, static_cast<double>(total.load()) / seconds_since(start));
    }
    return best;
  }

  const Options& options_;
  int batch_;
  StatePool& pool_;
  ScriptedDrafts scripted_;
  ThreadPool probe_pool_;
  std::vector<std::uint64_t> memory_;
  std::unique_ptr<EngineCore> off_, on_;
};

double median(const std::vector<double>& sorted) {
  const std::size_t n = sorted.size();
  return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

// The largest of the sorted values that the true median is below with probability 0.05 at most:
// the number of values below the median is binomial.
double lower_bound_of_median(const std::vector<double>& sorted) {
  const std::size_t n = sorted.size();
  double term = 1;
  for (std::size_t i = 0; i < n; ++i) term /= 2;
  double below = 0;
  std::size_t k = 0;  // P(at most k values below the median) stays within 0.05 while k < result
  for (; k < n; ++k) {
    below += term;
    if (below > 0.05) break;
    term *= static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
  return sorted[k == 0 ? 0 : k - 1];
}

int run_all(const Options& o) {
  const auto fail = [](const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
  };
  auto loaded = load(o);
  if (!loaded) return fail(loaded.error());
  const int most = static_cast<int>(*std::max_element(o.batch.begin(), o.batch.end()));
  const StateLayout& layout = (*loaded)->model->state_layout();
  PoolOptions pool_options;
  pool_options.sequences = most;
  // Answers of four times --tokens may be asked for; none is that long.
  pool_options.pages = most * ((kPromptTokens + 8 * o.tokens) / layout.page_tokens + 2);
  auto pool = StatePool::create(*(*loaded)->device, layout, pool_options);
  if (!pool) return fail(pool.error());
  (*loaded)->model->attach(**pool);
  std::printf("%s, %s, %d threads, up to %d drafts, %d tokens per sequence and run\n",
              o.directory.c_str(), o.numerics.c_str(), (*loaded)->device->threads(), o.drafts,
              o.tokens);
  std::printf("%6s %6s %10s %8s %8s %6s %9s %9s\n", "right", "batch", "off tok/s", "median",
              "lower95", "pairs", "rejected", "drafted");
  for (const double batch : o.batch) {
    for (const double right : o.right) {
      Bench bench(o, **loaded, **pool, static_cast<int>(batch), right);
      const auto ratios = bench.pairs();
      if (ratios.values.empty()) {
        std::printf("%6.2f %6.0f: no pair ran on a steady machine\n", right, batch);
        continue;
      }
      std::printf("%6.2f %6.0f %10.2f %8.3f %8.3f %6zu %9d %9d\n", right, batch, ratios.off_tok_s,
                  median(ratios.values), lower_bound_of_median(ratios.values), ratios.values.size(),
                  ratios.rejected, ratios.drafted);
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace
}  // namespace plumb

int main(int argc, char** argv) {
  const plumb::Options options = plumb::parse(argc, argv);
  if (options.directory.empty()) {
    std::puts("speculation_bench DIR [options]: see bench/speculation_bench.cc");
    return 0;
  }
  return plumb::run_all(options);
}
