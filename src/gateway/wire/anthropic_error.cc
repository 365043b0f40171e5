#include "gateway/wire/anthropic_error.h"

#include "base/json.h"

namespace plumb::wire {
namespace {

std::string error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 402:
      return "billing_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
    case 504:
      return "timeout_error";
    case 409:
      return "conflict_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 529:
      return "overloaded_error";
    case 499:  // the request was right
      return "api_error";
    default:
      return status >= 400 && status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

std::string anthropic_error(const Refusal& refusal, std::string_view request_id) {
  Json body =
      Json::object({{"type", Json::string("error")},
                    {"error", Json::object({{"type", Json::string(error_type(refusal.status))},
                                            {"message", Json::string(refusal.message)}})}});
  if (!request_id.empty()) body.set("request_id", Json::string(std::string(request_id)));
  return body.dump();
}

}  // namespace plumb::wire
