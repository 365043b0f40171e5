// Fields that OpenAI's formats share, with what other servers of the same formats added to them.
// Each is read from a body and taken off the list of unknown ones; a wrong one is refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "gateway/wire/fields.h"
#include "text/chat.h"

namespace plumb::wire {

inline constexpr int kMostChoices = 16;        // answers to one prompt
inline constexpr std::size_t kMostStops = 16;  // stop strings

// temperature, top_p, min_p, top_k (-1 and 0: off), presence_penalty, frequency_penalty,
// repetition_penalty and logit_bias; what is absent stays as it is.
void read_sampling(Fields& body, SamplingParams& sampling);

// Any 64-bit integer; a negative one counts modulo 2^64.
std::optional<std::uint64_t> read_seed(Fields& body);

// A string, or an array of them; none may be empty.
std::vector<std::string> read_stop(Fields& body, std::string_view key = "stop");

// A count of tokens from `least` on; nullopt: absent.
std::optional<int> read_token_count(Fields& body, std::string_view key, int least = 1);

// The ids in an array that stands at `where`; empty after a refusal.
std::vector<Token> read_token_ids(const Json& array, const std::string& where, Reading& reading);

// How many answers: n, 1 where absent.
int read_choice_count(Fields& body);

struct StreamWishes {
  bool stream = false;
  bool usage = false;  // in a chunk of its own, before the end
};
// stream and stream_options.
StreamWishes read_stream_wishes(Fields& body);

// What chat and raw completions begin with.
struct AskedFor {
  StreamWishes wishes;
  int answers = 1;      // to one prompt
  ChatRequest request;  // without its prompt and its length
};
// Reads model, sampling, stop, ignore_eos, seed, stream and n; sets the call's model, stream and
// seeded.
AskedFor read_asked_for(Fields& body, const SamplingParams& usual, Call& call);
// Adds the answers to one prompt, each with the seed that it has among any others.
void add_choices(const AskedFor& asked, Prompt prompt, Call& call);

// A name of reasoning effort; nullopt: absent or wrong.
std::optional<Effort> read_effort(Fields& object, std::string_view key);

// What describes a request to other people or services and changes nothing here: metadata, user,
// safety_identifier, prompt_cache_key ... A service tier or storing that is not offered is refused.
void read_formalities(Fields& body);

// Constraints that other servers offer and that would change the answer: refused by name, because
// an answer that does not keep them is wrong.
void refuse_constraints(Fields& body);

}  // namespace plumb::wire
