// Scalars that cross modules.
#pragma once

#include <cstdint>

namespace plumb {

using Token = std::int32_t;  // an id of the tokenizer; also an identity key of a text position
using Pos = std::int64_t;    // a token's position in its sequence, from 0
using Key = std::uint64_t;   // identity of one position: the token id, or a media hash

}  // namespace plumb
