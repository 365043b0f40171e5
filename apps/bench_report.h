// What `plumb bench` measured, for people and for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "measure/divergence.h"
#include "measure/machine.h"
#include "measure/runs.h"

namespace plumb {

struct BenchReport {
  std::string model, numerics, device, processor;
  int threads = 1;
  int step_tokens = 0;
  std::uint64_t probe_bytes = 0;
  measure::Limits limits;
  std::optional<measure::Comparison> kl;
  std::string no_kl_reason;  // when there is none
  std::vector<measure::PrefillResult> prefill;
  std::vector<measure::DecodeResult> decode;
  std::string rival;  // the command; empty: none
};

Json bench_json(const BenchReport& report);

// Parts of the table, each line ended: before the runs, one line per run, after them.
std::string bench_head(const BenchReport& report);
std::string prefill_text(const BenchReport& report, const measure::PrefillResult& run);
std::string decode_text(const BenchReport& report, const measure::DecodeResult& run);
std::string bench_tail(const BenchReport& report);

}  // namespace plumb
