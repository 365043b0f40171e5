#include "apps/bench_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "base/version.h"
#include "measure/numbers.h"

namespace plumb {
namespace {

using measure::Attempt;
using measure::Series;

// At most `digits` digits behind the point; measured numbers have no more than that to say.
Json rounded(double value, int digits) {
  const double unit = std::pow(10.0, digits);
  return Json::real(std::round(value * unit) / unit);
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

Json rates_json(const std::optional<measure::Rates>& rates) {
  if (!rates) return Json::null();
  return Json::object(
      {{"one_core", rounded(rates->one / 1e9, 2)}, {"all_cores", rounded(rates->all / 1e9, 2)}});
}

Json limits_json(const BenchReport& r) {
  return Json::object({{"read_gb_s", rates_json(r.limits.read)},
                       {"int8_gop_s", rates_json(r.limits.int8)},
                       {"bf16_gop_s", rates_json(r.limits.bf16)},
                       {"fp32_gop_s", rates_json(r.limits.f32)},
                       {"probe_bytes", Json::integer(static_cast<std::int64_t>(r.probe_bytes))}});
}

Json divergence_json(const measure::Divergence& d) {
  return Json::object({{"positions", Json::integer(d.positions)},
                       {"mean", Json::real(d.mean)},
                       {"largest", Json::real(d.largest)},
                       {"same_top", rounded(d.same_top, 4)}});
}

Json kl_json(const BenchReport& r) {
  if (!r.kl) return Json::null();
  Json json = divergence_json(r.kl->free);
  json.set("routed", divergence_json(r.kl->routed));
  return json;
}

Json list(const std::vector<double>& values, int digits) {
  std::vector<Json> items;
  for (const double v : values) items.push_back(rounded(v, digits));
  return Json::array(std::move(items));
}

Json stages_json(const measure::Stages& stages) {
  double total = 0;
  for (const auto& [name, seconds] : stages) total += seconds;
  Json json = Json::object();
  for (const auto& [name, seconds] : stages) json.set(name, rounded(seconds / total, 4));
  return json;
}

// Joules per token, where every repetition has them.
std::optional<double> joules_per_token(const Series& series, double tokens) {
  for (const Attempt& a : series.attempts) {
    if (!a.joules) return std::nullopt;
  }
  return series.median_of([&](const Attempt& a) { return *a.joules / tokens; });
}

double rival_median(const Series& series) {
  return series.median_of([](const Attempt& a) { return a.rival; });
}

// What all runs have: repetitions, probes, energy, stages, the rival's side.
void add_common(Json& json, const BenchReport& r, const Series& series, double tokens,
                const measure::Stages& stages) {
  const auto rate = [&](const Attempt& a) { return tokens / a.seconds; };
  const auto of = [&](double (*value)(const Attempt&)) { return series.values_of(value); };
  const auto total = static_cast<std::int64_t>(series.attempts.size());
  json.set("accepted", Json::integer(total - series.rejected()));
  json.set("rejected", Json::integer(series.rejected()));
  json.set("tok_s_all", list(series.values_of(rate), 2));
  json.set("read_gb_s", list(of([](const Attempt& a) { return a.read() / 1e9; }), 2));
  json.set("peak_gop_s", list(of([](const Attempt& a) { return a.ops() / 1e9; }), 1));
  const auto joules = joules_per_token(series, tokens);
  json.set("joules_per_token", joules ? Json::real(*joules) : Json::null());
  json.set("stages", stages_json(stages));
  if (r.rival.empty()) return;
  Json rival = Json::object();
  rival.set("command", Json::string(r.rival));
  rival.set("tok_s", rounded(rival_median(series), 2));
  rival.set("tok_s_all", list(of([](const Attempt& a) { return a.rival; }), 2));
  rival.set("ratio", rounded(series.median_of(rate) / rival_median(series), 3));
  json.set("against", std::move(rival));
}

Json prefill_json(const BenchReport& r, const measure::PrefillResult& run) {
  Json json = Json::object();
  json.set("tokens", Json::integer(run.tokens));
  json.set("tok_s", rounded(run.tok_s, 2));
  json.set("gop_s", rounded(run.ops / run.tokens * run.tok_s / 1e9, 2));
  json.set("fraction_of_peak",
           run.fraction_of_peak ? rounded(*run.fraction_of_peak, 4) : Json::null());
  add_common(json, r, run.series, run.tokens, run.stages);
  return json;
}

Json decode_json(const BenchReport& r, const measure::DecodeResult& run) {
  Json json = Json::object();
  json.set("depth", Json::integer(run.depth));
  json.set("batch", Json::integer(run.batch));
  json.set("tok_s", rounded(run.tok_s, 2));
  json.set("bytes_per_token", rounded(run.bytes_per_token, 0));
  json.set("fraction_of_bandwidth", rounded(run.fraction_of_bandwidth, 4));
  json.set("fraction_of_bound", rounded(run.fraction_of_bound, 4));
  json.set("bound_tok_s", rounded(run.bound_tok_s, 2));
  json.set("experts_met", rounded(run.experts_met, 2));
  json.set("kernel_gop_s", rounded(run.kernel_rate / 1e9, 2));
  add_common(json, r, run.series, static_cast<double>(run.steps) * run.batch, run.stages);
  return json;
}

// "experts 48 %, query 20 %, ...": the largest first, what is under 2 % left out.
std::string stages_text(measure::Stages stages) {
  double total = 0;
  for (const auto& [name, seconds] : stages) total += seconds;
  std::stable_sort(stages.begin(), stages.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [name, seconds] : stages) {
    const double share = 100 * seconds / total;
    if (share >= 2) text += (text.empty() ? "" : ", ") + name + format(" %.0f %%", share);
  }
  return "      " + text + "\n";
}

std::string common_text(const BenchReport& r, const Series& series, double tokens,
                        const measure::Stages& stages) {
  const int total = static_cast<int>(series.attempts.size());
  std::string text = format("  %d of %d kept", total - series.rejected(), total);
  if (series.rejected() == total) text += " (all shown: the machine never held still)";
  if (const auto joules = joules_per_token(series, tokens)) text += format(", %.3g J/tok", *joules);
  text += "\n" + stages_text(stages);
  if (!r.rival.empty()) {
    const double ours = series.median_of([&](const Attempt& a) { return tokens / a.seconds; });
    text += format("      against %.2f tok/s of the rival: ratio %.3f\n", rival_median(series),
                   ours / rival_median(series));
  }
  return text;
}

std::string limit_text(const char* name, const char* unit,
                       const std::optional<measure::Rates>& rates) {
  if (!rates) return format("  %-16s absent: this processor has no instruction for it\n", name);
  return format("  %-16s %8.1f %8.1f %s\n", name, rates->one / 1e9, rates->all / 1e9, unit);
}

}  // namespace

Json bench_json(const BenchReport& r) {
  Json json = Json::object();
  json.set("model", Json::string(r.model));
  json.set("version", Json::string(build_info().version));
  json.set("commit", Json::string(build_info().commit));
  json.set("build", Json::string(build_info().type));
  json.set("machine", Json::object({{"processor", Json::string(r.processor)},
                                    {"device", Json::string(r.device)},
                                    {"threads", Json::integer(r.threads)}}));
  json.set("numerics", Json::string(r.numerics));
  json.set("step_tokens", Json::integer(r.step_tokens));
  json.set("limits", limits_json(r));
  json.set("kl", r.kl ? Json::real(r.kl->free.mean) : Json::null());
  json.set("kl_detail", kl_json(r));
  std::vector<Json> prefill, decode;
  std::int64_t rejected = 0;
  for (const auto& run : r.prefill) {
    prefill.push_back(prefill_json(r, run));
    rejected += run.series.rejected();
  }
  for (const auto& run : r.decode) {
    decode.push_back(decode_json(r, run));
    rejected += run.series.rejected();
  }
  json.set("prefill", Json::array(std::move(prefill)));
  json.set("decode", Json::array(std::move(decode)));
  json.set("rejected", Json::integer(rejected));
  return json;
}

std::string bench_head(const BenchReport& r) {
  std::string text = str(r.model, ", ", r.numerics, ", ", r.device, " with ", r.threads,
                         r.threads == 1 ? " thread, " : " threads, ", r.processor, ", commit ",
                         build_info().commit, "\n");
  text += format("  %-16s %8s %8s\n", "limits", "1 core", "all");
  text += limit_text("memory read", "GB/s", r.limits.read);
  text += limit_text("int8", "GOP/s", r.limits.int8);
  text += limit_text("bf16", "GFLOP/s", r.limits.bf16);
  return text + limit_text("fp32", "GFLOP/s", r.limits.f32);
}

std::string prefill_text(const BenchReport& r, const measure::PrefillResult& run) {
  std::string text = format("prefill %-7d          %8.2f tok/s  %7.1f GOP/s", run.tokens, run.tok_s,
                            run.ops / run.tokens * run.tok_s / 1e9);
  if (run.fraction_of_peak) text += format(", %.3f of int8 peak", *run.fraction_of_peak);
  return text + common_text(r, run.series, run.tokens, run.stages);
}

std::string decode_text(const BenchReport& r, const measure::DecodeResult& run) {
  return format("decode at %-7lld x%-3d   %8.2f tok/s  %7.1f MB/tok, %.3f of read, %.3f of bound",
                static_cast<long long>(run.depth), run.batch, run.tok_s, run.bytes_per_token / 1e6,
                run.fraction_of_bandwidth, run.fraction_of_bound) +
         common_text(r, run.series, static_cast<double>(run.steps) * run.batch, run.stages);
}

std::string bench_tail(const BenchReport& r) {
  const std::string name = "KL(plain || " + r.numerics + ")";
  if (!r.kl) return name + ": " + r.no_kl_reason + "\n";
  const auto line = [](const char* what, const measure::Divergence& d) {
    return format("%s %.3g nats on average, %.3g at most, same top token %.1f %%, %d positions\n",
                  what, d.mean, d.largest, 100 * d.same_top, d.positions);
  };
  return name + line(" =", r.kl->free) + line("  with plain's experts:", r.kl->routed);
}

}  // namespace plumb
