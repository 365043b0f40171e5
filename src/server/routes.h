// The endpoints: one table.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gateway/wire/wire.h"
#include "server/api_keys.h"

namespace plumb {

enum class Endpoint {
  kChat,  // any wire format that answers
  kCountTokens,
  kTokenize,
  kDetokenize,
  kModels,
  kModel,  // the path ends in the model's name
  kHealth,
  kReady,
  kMetrics,
  kVersion,
  kOpenApi,
};

struct Route {
  std::string_view method;
  std::string_view path;  // a trailing '/' takes what follows
  Endpoint endpoint;
  Scope scope;
  bool open;                   // needs no key
  const wire::Format* format;  // of the reply (kChat), and of errors
};

std::span<const Route> routes();

struct Found {
  const Route* route = nullptr;
  std::string rest;     // what follows a trailing '/'
  std::string allowed;  // methods that the path has, when route is null: 405; empty: 404
};
Found find_route(std::string_view method, std::string_view path);

// The format in which a path speaks of errors, also for paths that do not exist.
const wire::Format& error_format(std::string_view path, bool anthropic_client);

}  // namespace plumb
