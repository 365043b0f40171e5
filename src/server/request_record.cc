#include "server/request_record.h"

namespace plumb {

std::string_view to_string(Operation operation) {
  switch (operation) {
    case Operation::kNone:
      return "";
    case Operation::kChat:
      return "chat";
    case Operation::kTextCompletion:
      return "text_completion";
  }
  return "";
}

std::string_view to_string(RefusalCause cause) {
  switch (cause) {
    case RefusalCause::kNone:
      return "";
    case RefusalCause::kInvalid:
      return "invalid";
    case RefusalCause::kTooLong:
      return "too_long";
    case RefusalCause::kUnsupported:
      return "unsupported";
    case RefusalCause::kNotFound:
      return "not_found";
    case RefusalCause::kAuthentication:
      return "authentication";
    case RefusalCause::kForbidden:
      return "forbidden";
    case RefusalCause::kRateLimit:
      return "rate_limit";
    case RefusalCause::kQueueFull:
      return "queue_full";
    case RefusalCause::kTooLarge:
      return "too_large";
    case RefusalCause::kTimeout:
      return "timeout";
    case RefusalCause::kDraining:
      return "draining";
    case RefusalCause::kUnavailable:
      return "unavailable";
    case RefusalCause::kInternal:
      return "internal";
  }
  return "";
}

RefusalCause refusal_cause(Code code) {
  switch (code) {
    case Code::kInvalid:
      return RefusalCause::kInvalid;
    case Code::kTooLong:
      return RefusalCause::kTooLong;
    case Code::kNotFound:
      return RefusalCause::kNotFound;
    case Code::kUnsupported:
      return RefusalCause::kUnsupported;
    case Code::kExhausted:
      return RefusalCause::kQueueFull;
    case Code::kCancelled:
      return RefusalCause::kNone;
    case Code::kTimeout:
      return RefusalCause::kTimeout;
    case Code::kUnavailable:
      return RefusalCause::kUnavailable;
    case Code::kCorrupt:
    case Code::kInternal:
      return RefusalCause::kInternal;
  }
  return RefusalCause::kInternal;
}

std::string_view to_string(AbortCause cause) {
  switch (cause) {
    case AbortCause::kNone:
      return "";
    case AbortCause::kClientGone:
      return "client_gone";
    case AbortCause::kDeadline:
      return "deadline";
    case AbortCause::kEngineFailed:
      return "engine_failed";
    case AbortCause::kDraining:
      return "draining";
  }
  return "";
}

}  // namespace plumb
