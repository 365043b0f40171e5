// What the clients ask: a function of the seed, so that two runs ask the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "load/reply_check.h"

namespace plumb::load {

struct LoadShape {
  std::string model;
  std::uint64_t seed = 1;
  std::optional<Api> api;  // nullopt: all of them
  int prompt_tokens = 128;
  int max_tokens = 32;
  // Prompts are arrays of this many random ids (to Completions), and the reply goes on to
  // max_tokens; else prompts are English words, half of them shared with other requests.
  bool ids = false;
  int vocabulary = 1024;  // ids are below it
  double cancel = 0;      // share of requests that the client leaves unfinished
  double slow = 0;        // share of those that read slowly
};

// One request of a client.
struct Ask {
  Api api = Api::kChat;
  std::string path, body;
  int cancel_after = 0;  // pieces of the answer; 0: never
  bool slow = false;
};

// A request to be cancelled asks for so much that its usage cannot have been told when the client
// leaves: to an API that lets it ignore the model's end. A slow one asks for more than sockets
// buffer.
Ask make_ask(const LoadShape& shape, int client, std::int64_t turn);

// Completions of exactly `max_tokens` after `ids` random ids.
Ask make_ids_ask(const LoadShape& shape, int client, std::int64_t turn, int ids, int max_tokens);

}  // namespace plumb::load
