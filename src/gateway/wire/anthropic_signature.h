// Signatures of thinking blocks: opaque text that clients keep and send back.
#pragma once

#include <string>
#include <string_view>

namespace plumb::wire {

// Of a block whose text the client sees: a digest of it.
std::string thinking_signature(std::string_view thinking);

// Of a block whose text is left out: the text itself, wrapped. Hides nothing from one who looks.
std::string seal_thinking(std::string_view thinking);
// The text in such a signature; empty for any other.
std::string sealed_thinking(std::string_view signature);

}  // namespace plumb::wire
