// One request under way: what the steps of serving it tell each other.
#pragma once

#include <chrono>

#include "gateway/wire/wire.h"
#include "server/chat_answer.h"
#include "server/http.h"
#include "server/rate_limits.h"
#include "server/request_record.h"
#include "server/routes.h"
#include "server/trace.h"

namespace plumb {

inline double ms_between(Moment from, Moment to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// Shared by the service and the answer's callbacks; used on one thread at a time.
struct Exchange {
  HttpRequest request;
  Moment received{};
  Trace trace;
  Found found;
  const wire::Format* format = nullptr;  // of errors, and of the reply
  HttpHeaders headers;                   // of every answer
  RequestRecord record;
  RateLimits::Permit permit;  // freed when the exchange is over
  bool finished = false;      // counted and logged
};

}  // namespace plumb
