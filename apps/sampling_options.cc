#include "apps/sampling_options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <limits>
#include <string>

#include "base/strings.h"

namespace plumb {
namespace {

Error wrong(std::string_view key, const Json& value, std::string_view expected) {
  return {Code::kInvalid,
          str("The field \"", key, "\" is ", value.dump(), ", expected ", expected, ".")};
}

Status read_float(std::string_view key, const Json& value, float& out) {
  const auto number = value.as_double();
  if (!number) return wrong(key, value, "a number");
  out = static_cast<float>(*number);
  return {};
}

Status read_int(std::string_view key, const Json& value, int low, int& out) {
  const auto number = value.as_int();
  if (!number || *number < low || *number > std::numeric_limits<int>::max()) {
    return wrong(key, value, str("an integer from ", low));
  }
  out = static_cast<int>(*number);
  return {};
}

Status read_seed(std::string_view key, const Json& value, std::uint64_t& out) {
  const auto number = value.as_int();
  if (!number || *number < 0) return wrong(key, value, "an integer from 0");
  out = static_cast<std::uint64_t>(*number);
  return {};
}

// {"TOKEN ID": BIAS, ...}
Status read_bias(std::string_view key, const Json& value, SamplingParams& params) {
  if (value.kind() != Json::Kind::kObject) return wrong(key, value, "an object of token ids");
  params.logit_bias.clear();
  for (const auto& [id, bias] : value.members()) {
    Token token = -1;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), token);
    const auto amount = bias.as_double();
    if (error != std::errc() || end != id.data() + id.size() || !amount) {
      return wrong(key, value, "numbers by token id");
    }
    params.logit_bias.emplace_back(token, static_cast<float>(*amount));
  }
  return {};
}

}  // namespace

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
  constexpr const char* kGroup = "Sampling (default: the model's generation_config.json)";
  command.add_option("--seed", options.seed, "The same seed gives the same answer (default: 0)")
      ->group(kGroup);
  command.add_option("--temperature", options.temperature, "0 always takes the likeliest token")
      ->group(kGroup);
  command.add_option("--top-k", options.top_k, "Only the K likeliest tokens (0: off)")
      ->group(kGroup);
  command
      .add_option("--top-p", options.top_p,
                  "Only the likeliest tokens that reach this share (1: off)")
      ->group(kGroup);
  command
      .add_option("--min-p", options.min_p, "Only tokens this likely beside the likeliest (0: off)")
      ->group(kGroup);
  command
      .add_option("--repetition-penalty", options.repetition_penalty,
                  "Above 1: tokens seen before become rarer")
      ->group(kGroup);
  command
      .add_option("--presence-penalty", options.presence_penalty,
                  "Taken off tokens that the answer has used")
      ->group(kGroup);
  command
      .add_option("--frequency-penalty", options.frequency_penalty,
                  "The same, for each time it did")
      ->group(kGroup);
}

SamplingParams with(SamplingParams params, const SamplingOptions& options) {
  const auto set = [](auto& field, const auto& given) {
    if (given) field = *given;
  };
  set(params.temperature, options.temperature);
  set(params.top_k, options.top_k);
  set(params.top_p, options.top_p);
  set(params.min_p, options.min_p);
  set(params.seed, options.seed);
  set(params.repetition_penalty, options.repetition_penalty);
  set(params.presence_penalty, options.presence_penalty);
  set(params.frequency_penalty, options.frequency_penalty);
  return params;
}

Result<bool> read_sampling_field(std::string_view key, const Json& value, SamplingParams& params) {
  Status status;
  if (key == "temperature") {
    status = read_float(key, value, params.temperature);
  } else if (key == "top_p") {
    status = read_float(key, value, params.top_p);
  } else if (key == "min_p") {
    status = read_float(key, value, params.min_p);
  } else if (key == "repetition_penalty") {
    status = read_float(key, value, params.repetition_penalty);
  } else if (key == "presence_penalty") {
    status = read_float(key, value, params.presence_penalty);
  } else if (key == "frequency_penalty") {
    status = read_float(key, value, params.frequency_penalty);
  } else if (key == "top_k") {
    status = read_int(key, value, 0, params.top_k);
  } else if (key == "logprobs") {
    status = read_int(key, value, 0, params.logprobs);
  } else if (key == "logit_bias") {
    status = read_bias(key, value, params);
  } else if (key == "seed") {
    status = read_seed(key, value, params.seed);
  } else {
    return false;
  }
  if (!status) return status.error();
  return true;
}

Result<SamplingParams> parse_generation_config(std::string_view text, std::string_view what) {
  PLUMB_TRY(json, parse_json(text, what));
  SamplingParams params;
  for (const auto& [key, value] : json.members()) {
    if (value.is_null() || key == "logprobs" || key == "seed") continue;
    const Result<bool> read = read_sampling_field(key, value, params);
    if (!read) return Error{Code::kCorrupt, str(what, ": ", read.error().message)};
  }
  const Json* samples = json.find("do_sample");
  if (samples && samples->as_bool() == false) params.temperature = 0;
  return params;
}

}  // namespace plumb
