// Base64 (RFC 4648, section 4): the plain alphabet, padded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plumb {

std::string base64_encode(std::string_view bytes);
// nullopt: anything that base64_encode() does not write, white space and missing padding included.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace plumb
