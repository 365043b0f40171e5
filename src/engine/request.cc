#include "engine/request.h"

#include <cmath>

namespace plumb {
namespace {

Error invalid(const std::string& field, double value, const std::string& expected) {
  std::string number = std::to_string(value);
  return {Code::kInvalid,
          "The sampling option " + field + " is " + number + ", expected " + expected + "."};
}

}  // namespace

// Comparisons are written so that NaN fails them.
Status SamplingParams::validate(int vocab) const {
  if (!(temperature >= 0 && temperature <= 100)) {
    return invalid("temperature", temperature, "a number from 0 to 100");
  }
  if (top_k < 0) return invalid("top_k", top_k, "0 (off) or a positive number");
  if (!(top_p > 0 && top_p <= 1)) {
    return invalid("top_p", top_p, "a number above 0 and at most 1");
  }
  if (!(min_p >= 0 && min_p <= 1)) return invalid("min_p", min_p, "a number from 0 to 1");
  if (!(repetition_penalty > 0 && repetition_penalty <= 100)) {
    return invalid("repetition_penalty", repetition_penalty, "a number above 0 and at most 100");
  }
  if (!(std::fabs(presence_penalty) <= 100)) {
    return invalid("presence_penalty", presence_penalty, "a number from -100 to 100");
  }
  if (!(std::fabs(frequency_penalty) <= 100)) {
    return invalid("frequency_penalty", frequency_penalty, "a number from -100 to 100");
  }
  if (logprobs < -1 || logprobs > 1000) {
    return invalid("logprobs", logprobs, "-1 (none) to 1000");
  }
  for (const auto& [token, bias] : logit_bias) {
    if (token < 0 || token >= vocab) {
      return invalid("logit_bias: token", token, "an id below " + std::to_string(vocab));
    }
    if (!(std::fabs(bias) <= 1000)) {
      return invalid("logit_bias: value", bias, "a number from -1000 to 1000");
    }
  }
  return {};
}

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kFailed:
      return "failed";
  }
  return "failed";
}

}  // namespace plumb
