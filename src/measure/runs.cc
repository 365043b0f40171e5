#include "measure/runs.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/interrupt.h"
#include "base/random.h"
#include "measure/listen.h"
#include "measure/numbers.h"

namespace plumb::measure {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kAttemptsPerRep = 3;  // before a noisy machine is taken as it is
constexpr int kKernelRounds = 9;
constexpr std::uint64_t kPromptStream = 1 << 20;  // apart from those of decoding sequences

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool has_int8() {
  for (const PeakLoop& loop : peak_loops()) {
    if (loop.peak == Peak::kInt8) return true;
  }
  return false;
}

}  // namespace

int Series::rejected() const {
  return static_cast<int>(std::count_if(attempts.begin(), attempts.end(),
                                        [](const Attempt& a) { return !a.accepted; }));
}

std::vector<double> Series::values_of(const std::function<double(const Attempt&)>& value) const {
  const bool any = rejected() < static_cast<int>(attempts.size());
  std::vector<double> values;
  for (const Attempt& a : attempts) {
    if (a.accepted || !any) values.push_back(value(a));
  }
  return values;
}

double Series::median_of(const std::function<double(const Attempt&)>& value) const {
  return median(values_of(value));
}

Runner::Runner(LanguageModel& model, StatePool& pool, Machine& machine, CostModel cost,
               RunOptions options)
    : model_(model),
      pool_(pool),
      machine_(machine),
      cost_(std::move(cost)),
      options_(std::move(options)) {
  PLUMB_CHECK(options_.steps > 0 && options_.steps <= pool.layout().max_rewind);
}

Token Runner::token(std::uint64_t stream, Pos at) const {
  const auto vocab = static_cast<std::uint64_t>(model_.info().vocab);
  return static_cast<Token>(random_bits(options_.seed, static_cast<std::uint64_t>(at), stream) %
                            vocab);
}

// Repeats `run`, which returns its seconds, until enough repetitions are accepted.
Result<Series> Runner::repeat(const std::function<Result<double>()>& run) {
  Series series;
  PLUMB_TRY_STATUS(run());  // warms caches, pages and clocks; not counted
  for (int accepted = 0, tries = 0;
       accepted < options_.reps && tries < kAttemptsPerRep * options_.reps; ++tries) {
    if (interrupted()) return Error{Code::kCancelled, "Interrupted."};
    Attempt attempt;
    if (options_.probes) attempt.before = machine_.probe();
    const EnergyMeter::Reading from = energy_.read();
    PLUMB_TRY(seconds, run());
    attempt.joules = energy_.joules(from, energy_.read());
    attempt.seconds = seconds;
    if (options_.probes) attempt.after = machine_.probe();
    attempt.accepted = agree(attempt.before, attempt.after);
    if (options_.rival) {
      PLUMB_TRY(rate, options_.rival());
      attempt.rival = rate;
      // The pair counts when the machine stayed the same through both.
      const Probe end = options_.probes ? machine_.probe() : attempt.after;
      attempt.accepted = attempt.accepted && agree(attempt.after, end);
    }
    if (attempt.accepted) ++accepted;
    series.attempts.push_back(attempt);
  }
  return series;
}

Result<double> Runner::read_prompt(int tokens) {
  PLUMB_TRY(state, pool_.open({}));
  std::vector<Token> prompt(static_cast<std::size_t>(tokens));
  for (int i = 0; i < tokens; ++i) prompt[static_cast<std::size_t>(i)] = token(kPromptStream, i);
  const std::vector<Key> keys(prompt.begin(), prompt.end());
  const auto start = Clock::now();
  PLUMB_TRY_STATUS(pool_.reserve(state, tokens));
  const int most = model_.info().max_step_tokens;
  for (int at = 0; at < tokens;) {
    const int count = std::min(tokens - at, most);
    const auto from = static_cast<std::size_t>(at), n = static_cast<std::size_t>(count);
    const BatchItem item{&state, std::span(prompt).subspan(from, n), at + count == tokens ? 1 : 0};
    PLUMB_TRY_STATUS(model_.forward({&item, 1}));
    pool_.advance(state, std::span(keys).subspan(from, n));
    at += count;
    if (interrupted()) return Error{Code::kCancelled, "Interrupted."};
  }
  return seconds_since(start);
}

Result<PrefillResult> Runner::prefill(int tokens) {
  PrefillResult result;
  result.tokens = tokens;
  PLUMB_TRY(series, repeat([&] { return read_prompt(tokens); }));
  result.series = std::move(series);
  result.tok_s = result.series.median_of([&](const Attempt& a) { return tokens / a.seconds; });
  result.ops = tokens * cost_.weight_ops(false);
  if (options_.probes && has_int8()) {
    result.fraction_of_peak =
        result.series.median_of([&](const Attempt& a) { return result.ops / a.seconds / a.ops(); });
  }
  const Listener listener(model_);
  PLUMB_TRY_STATUS(read_prompt(tokens));
  result.stages = listener.stages();
  return result;
}

Result<std::vector<SequenceState>> Runner::sequences(Pos depth, int batch) {
  std::vector<SequenceState> states;
  std::vector<Key> keys(static_cast<std::size_t>(depth));
  for (int s = 0; s < batch; ++s) {
    PLUMB_TRY(state, pool_.open({}));
    if (depth > 0) {
      PLUMB_TRY_STATUS(pool_.reserve(state, static_cast<int>(depth)));
      PLUMB_TRY_STATUS(model_.fill(state, depth, options_.seed + static_cast<std::uint64_t>(s)));
      for (Pos i = 0; i < depth; ++i) {
        keys[static_cast<std::size_t>(i)] =
            static_cast<Key>(token(static_cast<std::uint64_t>(s), i));
      }
      pool_.advance(state, keys);
    }
    states.push_back(std::move(state));
    if (interrupted()) return Error{Code::kCancelled, "Interrupted."};
  }
  return states;
}

// Every sequence decodes the same number of tokens, then forgets them.
Result<double> Runner::decode_steps(std::vector<SequenceState>& states, Pos depth) {
  std::vector<Token> next(states.size());
  std::vector<BatchItem> items(states.size());
  const auto start = Clock::now();
  for (int step = 0; step < options_.steps; ++step) {
    for (std::size_t s = 0; s < states.size(); ++s) {
      PLUMB_TRY_STATUS(pool_.reserve(states[s], 1));
      next[s] = token(s, depth + step);
      items[s] = {&states[s], {&next[s], 1}, 1};
    }
    PLUMB_TRY_STATUS(model_.forward(items));
    for (std::size_t s = 0; s < states.size(); ++s) {
      const Key key = static_cast<Key>(next[s]);
      pool_.advance(states[s], {&key, 1});
    }
  }
  const double seconds = seconds_since(start);
  for (SequenceState& state : states) PLUMB_TRY_STATUS(pool_.truncate(state, depth));
  return seconds;
}

double Runner::kernel_rate(int tokens) {
  double ops = model_.exercise(tokens);  // brings the weights into the caches
  std::vector<double> rates;
  for (int round = 0; round < kKernelRounds; ++round) {
    const auto start = Clock::now();
    ops = model_.exercise(tokens);
    rates.push_back(ops / seconds_since(start));
  }
  // The best one: a bound is what could be reached.
  return *std::max_element(rates.begin(), rates.end());
}

Result<DecodeResult> Runner::decode(Pos depth, int batch) {
  DecodeResult result;
  result.depth = depth;
  result.batch = batch;
  result.steps = options_.steps;
  PLUMB_TRY(states, sequences(depth, batch));
  PLUMB_TRY(series, repeat([&] { return decode_steps(states, depth); }));
  result.series = std::move(series);
  result.kernel_rate = kernel_rate(batch);
  {
    const Listener listener(model_);
    PLUMB_TRY_STATUS(decode_steps(states, depth));
    result.stages = listener.stages();
    result.experts_met = listener.experts_met();
  }
  const double tokens = static_cast<double>(options_.steps) * batch;
  const Pos middle = depth + options_.steps / 2;
  const double bytes =
      cost_.weight_bytes(batch, result.experts_met) / batch + cost_.cache_bytes(middle);
  const double ops = cost_.weight_ops(true) + cost_.cache_ops(middle);
  const auto bound = [&](const Attempt& a) {
    return bound_seconds(tokens * bytes, a.read(), tokens * ops, result.kernel_rate);
  };
  result.bytes_per_token = bytes;
  result.tok_s = result.series.median_of([&](const Attempt& a) { return tokens / a.seconds; });
  if (!options_.probes) return result;
  result.fraction_of_bandwidth = result.series.median_of(
      [&](const Attempt& a) { return tokens * bytes / a.seconds / a.read(); });
  result.bound_tok_s = result.series.median_of([&](const Attempt& a) { return tokens / bound(a); });
  result.fraction_of_bound =
      result.series.median_of([&](const Attempt& a) { return bound(a) / a.seconds; });
  return result;
}

}  // namespace plumb::measure
