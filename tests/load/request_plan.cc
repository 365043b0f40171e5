#include "load/request_plan.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/random.h"

namespace plumb::load {
namespace {

constexpr int kCancelTokens = 2048;
constexpr int kMostCancelAfter = 12;
constexpr int kSlowFactor = 8;
constexpr int kSharedPrompts = 4;
constexpr int kFirstId = 256;  // the ones below are often bytes and controls

constexpr std::string_view kWords[] = {
    "river", "stone",  "garden", "letter", "window", "the",    "a",      "of",    "house", "winter",
    "bread", "under",  "over",   "walks",  "sings",  "brings", "quiet",  "green", "seven", "north",
    "and",   "but",    "often",  "never",  "clock",  "market", "bridge", "horse", "cloud", "paper",
    "is",    "was",    "with",   "from",   "light",  "silver", "child",  "tree",  "sea",   "road",
    "door",  "friend", "bird",   "small",  "tall",   "old",    "new",    "night", "day",   "to"};

// Draws of one purpose.
class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}
  double share() { return uniform(seed_, position_++, stream_); }
  int below(int n) { return static_cast<int>(share() * n); }

 private:
  std::uint64_t seed_, stream_;
  std::uint64_t position_ = 0;
};

Dice dice_of(const LoadShape& shape, int client, std::int64_t turn) {
  return {shape.seed,
          (static_cast<std::uint64_t>(client) + 1) << 40 | static_cast<std::uint64_t>(turn)};
}

std::string words(Dice& dice, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    if (i > 0) out += ' ';
    out += kWords[dice.below(static_cast<int>(std::size(kWords)))];
  }
  return out;
}

Json text(std::string_view value) { return Json::string(std::string(value)); }

Json message(std::string_view role, const std::string& content) {
  return Json::object({{"role", text(role)}, {"content", Json::string(content)}});
}

std::string_view path_of(Api api) {
  switch (api) {
    case Api::kChat:
      return "/v1/chat/completions";
    case Api::kCompletions:
      return "/v1/completions";
    case Api::kMessages:
      return "/v1/messages";
    case Api::kResponses:
      break;
  }
  return "/v1/responses";
}

Json usage_wish() { return Json::object({{"include_usage", Json::boolean(true)}}); }

// `before` is the part that other requests share.
void add_prompt(Api api, const std::string& before, const std::string& question, Json& body) {
  switch (api) {
    case Api::kChat:
      body.set("messages", Json::array({message("system", before), message("user", question)}));
      body.set("stream_options", usage_wish());
      return;
    case Api::kCompletions:
      body.set("prompt", Json::string(before + " " + question));
      body.set("stream_options", usage_wish());
      return;
    case Api::kMessages:
      body.set("system", Json::string(before));
      body.set("messages", Json::array({message("user", question)}));
      return;
    case Api::kResponses:
      body.set("instructions", Json::string(before));
      body.set("input", Json::string(question));
      body.set("store", Json::boolean(false));
      return;
  }
}

Api pick_api(const LoadShape& shape, bool cancels, Dice& dice) {
  const int drawn = dice.below(cancels ? 2 : static_cast<int>(std::size(kApis)));
  return shape.api.value_or(kApis[drawn]);  // the first two can ignore the model's end
}

bool can_ignore_end(Api api) { return api == Api::kChat || api == Api::kCompletions; }

}  // namespace

Ask make_ids_ask(const LoadShape& shape, int client, std::int64_t turn, int ids, int max_tokens) {
  Dice dice = dice_of(shape, client, turn);
  const int first = std::min(kFirstId, shape.vocabulary / 2);
  std::vector<Json> prompt;
  for (int i = 0; i < ids; ++i) {
    prompt.push_back(Json::integer(first + dice.below(shape.vocabulary - first)));
  }
  const Json body = Json::object({{"model", Json::string(shape.model)},
                                  {"prompt", Json::array(std::move(prompt))},
                                  {"max_tokens", Json::integer(max_tokens)},
                                  {"ignore_eos", Json::boolean(true)},
                                  {"temperature", Json::integer(0)},
                                  {"stream", Json::boolean(true)},
                                  {"stream_options", usage_wish()}});
  return {Api::kCompletions, std::string(path_of(Api::kCompletions)), body.dump(), 0, false};
}

Ask make_ask(const LoadShape& shape, int client, std::int64_t turn) {
  Dice dice = dice_of(shape, client, turn);
  const bool cancels = dice.share() < shape.cancel;
  const bool slow = !cancels && dice.share() < shape.slow;
  const int tokens = cancels ? kCancelTokens
                     : slow  ? shape.max_tokens * kSlowFactor
                             : shape.max_tokens;
  const int cancel_after = cancels ? 1 + dice.below(kMostCancelAfter) : 0;
  if (shape.ids) {
    Ask ask = make_ids_ask(shape, client, turn, shape.prompt_tokens, tokens);
    ask.cancel_after = cancel_after;
    ask.slow = slow;
    return ask;
  }
  const Api api = pick_api(shape, cancels, dice);
  Dice shared(shape.seed, static_cast<std::uint64_t>(dice.below(kSharedPrompts)));
  const int half = shape.prompt_tokens / 2;
  Json body = Json::object({{"model", Json::string(shape.model)}, {"stream", Json::boolean(true)}});
  body.set(api == Api::kResponses ? "max_output_tokens" : "max_tokens", Json::integer(tokens));
  add_prompt(api, words(shared, half), words(dice, std::max(1, shape.prompt_tokens - half)), body);
  if (can_ignore_end(api)) {
    body.set("seed", Json::integer(dice.below(1 << 30)));
    if (cancels || slow) body.set("ignore_eos", Json::boolean(true));
  }
  return {api, std::string(path_of(api)), body.dump(), cancel_after, slow};
}

}  // namespace plumb::load
