// How answers are sampled, as the command line says it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "engine/request.h"

namespace CLI {
class App;
}

namespace plumb {

// What is not given comes from the model's generation_config.json, or is off.
struct SamplingOptions {
  std::optional<float> temperature, top_p, min_p;
  std::optional<float> repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int> top_k;
  std::optional<std::uint64_t> seed;
};

// --temperature, --top-p, --top-k, --min-p, --seed and the penalties.
void add_sampling_options(CLI::App& command, SamplingOptions& options);
SamplingParams with(SamplingParams defaults, const SamplingOptions& options);

// The defaults that a generation_config.json states. kCorrupt names a field that is no number.
Result<SamplingParams> parse_generation_config(std::string_view text, std::string_view what);

// Reads one sampling field ("temperature", "top_p", "seed", ...) of a JSON request. false: the key is
// none of them. kInvalid: its value is of another kind than expected.
Result<bool> read_sampling_field(std::string_view key, const Json& value, SamplingParams& params);

}  // namespace plumb
