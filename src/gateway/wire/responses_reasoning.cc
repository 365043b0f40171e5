#include "gateway/wire/responses_reasoning.h"

#include "base/base64.h"
#include "base/json.h"

namespace plumb::wire {
namespace {

constexpr std::string_view kKey = "plumb.reasoning";

}  // namespace

std::string pack_reasoning(const std::string& text) {
  return base64_encode(Json::object({{std::string(kKey), Json::string(text)}}).dump());
}

std::optional<std::string> unpack_reasoning(const std::string& packed) {
  const auto text = base64_decode(packed);
  if (!text) return std::nullopt;
  const Result<Json> object = parse_json(*text, "encrypted_content");
  if (!object) return std::nullopt;
  const Json* reasoning = object->find(kKey);
  if (!reasoning || !reasoning->is_string()) return std::nullopt;
  return reasoning->text();
}

}  // namespace plumb::wire
