// The reasoning of a reply in a field that clients carry without looking into it.
//
// Nothing is kept between requests, so a client gives the reasoning back with the conversation.
// Some (Codex among them) drop the readable text of a reasoning item when they do and keep only its
// `encrypted_content`. So that field holds the text once more, in base64: no secret is in it, since
// the client may read the reasoning anyway.
#pragma once

#include <optional>
#include <string>

namespace plumb::wire {

std::string pack_reasoning(const std::string& text);
// nullopt: not ours, as from a conversation that began with another service.
std::optional<std::string> unpack_reasoning(const std::string& packed);

}  // namespace plumb::wire
