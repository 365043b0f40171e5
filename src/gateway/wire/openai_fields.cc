#include "gateway/wire/openai_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/strings.h"
#include "text/chat_json.h"

namespace plumb::wire {
namespace {

constexpr int kMostInt = std::numeric_limits<int>::max();

void read_float(Fields& body, std::string_view key, double low, double high, float& out) {
  if (const auto value = body.number(key, low, high)) out = static_cast<float>(*value);
}

// Above 0 and at most `high`: as a float, too, which is what the engine computes with.
void read_positive(Fields& body, std::string_view key, int high, float& out) {
  const Json* value = body.get(key);
  if (!value) return;
  const auto number = value->is_number() ? value->as_double() : std::nullopt;
  const float as_float = number ? static_cast<float>(*number) : 0.0f;
  if (!(as_float > 0 && *number <= high)) {
    body.refuse(key, str("a number above 0 and at most ", high));
    return;
  }
  out = as_float;
}

// Digits as JSON would write them, so that no id is named twice ("7", "07").
std::optional<Token> token_of(std::string_view text) {
  Token token = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), token);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (token < 0 || str(token) != text) return std::nullopt;
  return token;
}

// Reads the members themselves: there may be thousands, and Fields looks each up from the front.
void read_logit_bias(Fields& body, SamplingParams& sampling) {
  const Json* object = body.object("logit_bias");
  if (!object) return;
  sampling.logit_bias.clear();
  for (const auto& [key, value] : object->members()) {
    const auto token = token_of(key);
    if (!token) {
      body.reading().refuse(body.path("logit_bias"),
                            str(body.path("logit_bias"), " has the key ", shown(Json::string(key)),
                                ", expected the id of a token."));
      return;
    }
    const auto bias = value.is_number() ? value.as_double() : std::nullopt;
    if (!bias || !(std::fabs(*bias) <= 100)) {
      const std::string path = str(body.path("logit_bias"), ".", key);
      body.reading().refuse(
          path, str(path, " is ", shown(value), ", expected a number from -100 to 100."));
      return;
    }
    sampling.logit_bias.emplace_back(*token, static_cast<float>(*bias));
  }
}

}  // namespace

void read_sampling(Fields& body, SamplingParams& sampling) {
  read_float(body, "temperature", 0, 2, sampling.temperature);
  read_positive(body, "top_p", 1, sampling.top_p);
  read_float(body, "min_p", 0, 1, sampling.min_p);
  if (const auto top_k = body.integer("top_k", -1, kMostInt))
    sampling.top_k = static_cast<int>(std::max<std::int64_t>(*top_k, 0));
  read_float(body, "presence_penalty", -2, 2, sampling.presence_penalty);
  read_float(body, "frequency_penalty", -2, 2, sampling.frequency_penalty);
  read_positive(body, "repetition_penalty", 100, sampling.repetition_penalty);
  read_logit_bias(body, sampling);
}

std::optional<std::uint64_t> read_seed(Fields& body) {
  const auto seed = body.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                 std::numeric_limits<std::int64_t>::max());
  if (!seed) return std::nullopt;
  return static_cast<std::uint64_t>(*seed);
}

std::vector<std::string> read_stop(Fields& body, std::string_view key) {
  const Json* value = body.get(key);
  if (!value) return {};
  if (!value->is_string() && !value->is_array()) {
    body.refuse(key, "a string or an array of strings");
    return {};
  }
  const bool one = value->is_string();
  const std::size_t count = one ? 1 : value->items().size();
  if (count > kMostStops) {
    body.reading().refuse(body.path(key), str(body.path(key), " has ", count,
                                              " entries, expected at most ", kMostStops, "."));
    return {};
  }
  std::vector<std::string> stops;
  for (std::size_t i = 0; i < count; ++i) {
    const Json& stop = one ? *value : value->items()[i];
    if (!stop.is_string() || stop.text().empty()) {
      const std::string path = one ? body.path(key) : str(body.path(key), "[", i, "]");
      body.reading().refuse(
          path, str(path, " is ", shown(stop), ", expected a string that is not empty."));
      return {};
    }
    stops.push_back(stop.text());
  }
  return stops;
}

std::optional<int> read_token_count(Fields& body, std::string_view key, int least) {
  const auto count = body.integer(key, least, kMostInt);
  if (!count) return std::nullopt;
  return static_cast<int>(*count);
}

std::vector<Token> read_token_ids(const Json& array, const std::string& where, Reading& reading) {
  std::vector<Token> ids;
  for (std::size_t i = 0; i < array.items().size(); ++i) {
    const Json& item = array.items()[i];
    const auto id = item.is_number() ? item.as_int() : std::nullopt;
    if (!id || *id < 0 || *id > std::numeric_limits<Token>::max()) {
      const std::string path = str(where, "[", i, "]");
      reading.refuse(path, str(path, " is ", shown(item), ", expected the id of a token."));
      return {};
    }
    ids.push_back(static_cast<Token>(*id));
  }
  return ids;
}

int read_choice_count(Fields& body) {
  return static_cast<int>(body.integer("n", 1, kMostChoices).value_or(1));
}

StreamWishes read_stream_wishes(Fields& body) {
  StreamWishes wishes;
  wishes.stream = body.boolean("stream").value_or(false);
  // Without a stream the reply has its usage anyway.
  if (const Json* object = body.object("stream_options")) {
    Fields options(*object, body.path("stream_options"), body.reading());
    wishes.usage = options.boolean("include_usage").value_or(false);
    options.unsupported("continuous_usage_stats", "usage comes once, at the end of the stream",
                        "false");
    options.unsupported("include_obfuscation", "chunks are not padded", "false");
  }
  return wishes;
}

std::optional<Effort> read_effort(Fields& object, std::string_view key) {
  const auto name = object.string(key);
  if (!name) return std::nullopt;
  const auto effort = effort_from_name(*name);
  if (!effort) object.refuse(key, "none, minimal, low, medium, high, xhigh or max");
  return effort;
}

AskedFor read_asked_for(Fields& body, const SamplingParams& usual, Call& call) {
  AskedFor asked;
  ChatRequest& request = asked.request;
  call.model = body.string("model").value_or("");
  request.model = call.model;
  request.sampling = usual;
  read_sampling(body, request.sampling);
  request.stop = read_stop(body);
  request.ignore_end = body.boolean("ignore_eos").value_or(false);
  const auto seed = read_seed(body);
  call.seeded = seed.has_value();
  if (seed) request.sampling.seed = *seed;
  asked.wishes = read_stream_wishes(body);
  call.stream = asked.wishes.stream;
  asked.answers = read_choice_count(body);
  return asked;
}

void add_choices(const AskedFor& asked, Prompt prompt, Call& call) {
  for (int i = 0; i < asked.answers; ++i) {
    ChatRequest& choice = call.choices.emplace_back(asked.request);
    choice.prompt = prompt;
    choice.sampling.seed = seed_of_choice(asked.request.sampling.seed, i);
  }
}

void read_formalities(Fields& body) {
  for (const std::string_view key : {"metadata", "user", "safety_identifier", "prompt_cache_key",
                                     "prompt_cache_retention", "request_id"}) {
    body.pass(key);
  }
  body.unsupported("store", "replies are not stored", "false");
  const auto tier = body.string("service_tier");
  if (tier && *tier != "auto" && *tier != "default")
    body.unsupported("service_tier", "the only tiers are auto and default");
}

void refuse_constraints(Fields& body) {
  for (const std::string_view key : {"regex", "ebnf"})
    body.unsupported(key, "the field is structured_outputs here");
  body.unsupported("min_tokens", "answers end where the model ends them", "0");
  body.unsupported("stop_token_ids", "answers are stopped by text; use stop", "[]");
  body.unsupported("bad_words", "words cannot be forbidden; use logit_bias", "[]");
  body.unsupported("allowed_token_ids", "tokens cannot be forbidden; use logit_bias", "[]");
  body.unsupported("use_beam_search", "answers are sampled", "false");
  body.unsupported("prompt_logprobs", "prompts are not scored");
  body.unsupported("include_stop_str_in_output", "the stop string is no part of the answer",
                   "false");
}

}  // namespace plumb::wire
