#include "gateway/wire/wire.h"

namespace plumb::wire {

Refusal refusal_of(const Error& error) {
  Refusal refusal;
  refusal.message = error.message;
  switch (error.code) {
    case Code::kInvalid:
    case Code::kUnsupported:
      refusal.status = 400;
      break;
    case Code::kTooLong:
      refusal.status = 400;
      refusal.code = "context_length_exceeded";
      break;
    case Code::kNotFound:
      refusal.status = 404;
      refusal.code = "model_not_found";
      break;
    case Code::kExhausted:
      refusal.status = 429;
      refusal.code = "rate_limit_exceeded";
      break;
    case Code::kTimeout:
      refusal.status = 408;
      refusal.code = "timeout";
      break;
    case Code::kCancelled:
      refusal.status = 499;
      refusal.code = "cancelled";
      break;
    case Code::kUnavailable:
      refusal.status = 503;
      refusal.code = "unavailable";
      break;
    case Code::kInternal:
    case Code::kCorrupt:
      refusal.status = 500;
      refusal.code = "internal_error";
      break;
  }
  return refusal;
}

}  // namespace plumb::wire
