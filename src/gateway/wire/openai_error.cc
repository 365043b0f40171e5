#include "gateway/wire/openai_error.h"

#include "base/json.h"

namespace plumb::wire {

std::string_view openai_error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
      return "timeout_error";
    case 409:
      return "conflict_error";
    case 429:
      return "rate_limit_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

std::string openai_error(const Refusal& refusal, std::string_view) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? Json() : Json::string(text);
  };
  return Json::object(
             {{"error",
               Json::object({{"message", Json::string(refusal.message)},
                             {"type", Json::string(std::string(openai_error_type(refusal.status)))},
                             {"param", or_null(refusal.param)},
                             {"code", or_null(refusal.code)}})}})
      .dump();
}

}  // namespace plumb::wire
