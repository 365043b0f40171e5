#include "server/routes.h"

#include "gateway/wire/anthropic.h"
#include "gateway/wire/openai_chat.h"
#include "gateway/wire/openai_completions.h"
#include "gateway/wire/responses.h"

namespace plumb {
namespace {

using wire::kAnthropicMessages;
using wire::kOpenAiChat;
using wire::kOpenAiCompletions;
using wire::kOpenAiResponses;

// DeepSeek's own service has no /v1 before its path, and clients made for it leave it out.
constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", Endpoint::kChat, Scope::kInference, false, &kOpenAiChat},
    {"POST", "/chat/completions", Endpoint::kChat, Scope::kInference, false, &kOpenAiChat},
    {"POST", "/v1/completions", Endpoint::kChat, Scope::kInference, false, &kOpenAiCompletions},
    {"POST", "/v1/responses", Endpoint::kChat, Scope::kInference, false, &kOpenAiResponses},
    {"POST", "/v1/messages", Endpoint::kChat, Scope::kInference, false, &kAnthropicMessages},
    {"POST", "/v1/messages/count_tokens", Endpoint::kCountTokens, Scope::kInference, false,
     &kAnthropicMessages},
    {"POST", "/tokenize", Endpoint::kTokenize, Scope::kInference, false, &kOpenAiChat},
    {"POST", "/detokenize", Endpoint::kDetokenize, Scope::kInference, false, &kOpenAiChat},
    {"GET", "/v1/models", Endpoint::kModels, Scope::kInference, false, &kOpenAiChat},
    {"GET", "/models", Endpoint::kModels, Scope::kInference, false, &kOpenAiChat},
    {"GET", "/v1/models/", Endpoint::kModel, Scope::kInference, false, &kOpenAiChat},
    {"GET", "/health", Endpoint::kHealth, Scope::kInference, true, &kOpenAiChat},
    {"GET", "/ready", Endpoint::kReady, Scope::kInference, true, &kOpenAiChat},
    {"GET", "/metrics", Endpoint::kMetrics, Scope::kMetrics, false, &kOpenAiChat},
    {"GET", "/version", Endpoint::kVersion, Scope::kInference, true, &kOpenAiChat},
    {"GET", "/openapi.json", Endpoint::kOpenApi, Scope::kInference, true, &kOpenAiChat},
};

bool matches(const Route& route, std::string_view path) {
  if (!route.path.ends_with('/')) return path == route.path;
  return path.size() > route.path.size() && path.starts_with(route.path);
}

// HEAD is GET whose body is not sent.
bool method_matches(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

Found find_route(std::string_view method, std::string_view path) {
  Found found;
  for (const Route& route : kRoutes) {
    if (!matches(route, path)) continue;
    if (method_matches(route, method)) {
      found.route = &route;
      if (route.path.ends_with('/')) found.rest = path.substr(route.path.size());
      return found;
    }
    if (!found.allowed.empty()) found.allowed += ", ";
    found.allowed += route.method;
    found.allowed += route.method == "GET" ? ", HEAD" : "";
  }
  return found;
}

const wire::Format& error_format(std::string_view path, bool anthropic_client) {
  const bool messages = path == "/v1/messages" || path.starts_with("/v1/messages/");
  return messages || anthropic_client ? kAnthropicMessages : kOpenAiChat;
}

}  // namespace plumb
