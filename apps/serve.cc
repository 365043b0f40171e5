// plumb serve: the model behind HTTP.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/serve_options.h"
#include "apps/stack.h"
#include "apps/stop_signals.h"
#include "base/strings.h"
#include "base/version.h"
#include "server/http_server.h"
#include "server/service.h"

namespace plumb {
namespace {

ServedFacts facts_of(const Stack& stack, const ServeOptions& options) {
  const ModelInfo& model = stack.engine->model();
  return {model.fingerprint, stack.tokenizer->fingerprint(), model.numerics.id(), version_text(),
          config_digest(options)};
}

MetricsOptions metrics_options(const Stack& stack, const ServeOptions& options,
                               const ServedFacts& facts) {
  MetricsOptions metrics;
  metrics.model = stack.name;
  for (const auto& [alias, model] : options.aliases) {
    if (alias != "*") metrics.aliases.push_back(alias);
  }
  metrics.page_tokens = stack.model->state_layout().page_tokens;
  metrics.facts = facts;
  return metrics;
}

Result<ServiceOptions> service_options(const Stack& stack, const ServeOptions& options,
                                       const ServedFacts& facts) {
  ServiceOptions service;
  PLUMB_TRY(keys, ApiKeys::create(options.keys));
  service.keys = std::move(keys);
  service.aliases = options.aliases;
  PLUMB_TRY_STATUS(check_aliases(options, stack.name));
  service.defaults.sampling = stack.defaults;
  service.defaults.guards = options.guards;
  service.max_body = options.max_body;
  service.request_timeout = options.request_timeout;
  service.cors_origins = options.cors_origins;
  service.config_digest = facts.config_digest;
  return service;
}

// Members in order of construction, so that destruction runs backwards.
struct Serving {
  std::unique_ptr<Stack> stack;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<RequestLog> log;       // null: none
  std::unique_ptr<RecordStore> records;  // null: none
  std::unique_ptr<Service> service;
  std::unique_ptr<HttpServer> server;
};

Result<std::unique_ptr<Serving>> start(const ServeOptions& options) {
  auto s = std::make_unique<Serving>();
  StackOptions stack_options = options.stack;
  stack_options.max_queue = options.max_queue;
  stack_options.name = options.name;
  stack_options.plan = true;
  PLUMB_TRY(stack, open_stack(stack_options));
  s->stack = std::move(stack);
  const ServedFacts facts = facts_of(*s->stack, options);
  s->metrics = std::make_unique<Metrics>(metrics_options(*s->stack, options, facts));
  if (!options.log.path.empty()) {
    PLUMB_TRY(log, RequestLog::open(options.log, facts));
    s->log = std::move(log);
  }
  if (!options.record.empty()) {
    PLUMB_TRY(records, RecordStore::open(options.record));
    s->records = std::move(records);
  }
  PLUMB_TRY(service, service_options(*s->stack, options, facts));
  s->service = std::make_unique<Service>(*s->stack->provider, std::move(service), *s->metrics,
                                         s->log.get(), s->records.get());
  PLUMB_TRY(server, HttpServer::listen(options.http, *s->service));
  s->server = std::move(server);
  s->service->set_http_stats([server = s->server.get()] { return server->stats(); });
  return s;
}

void announce(const ServeOptions& options, const Serving& serving) {
  const std::string host = options.http.address.find(':') == std::string::npos
                               ? options.http.address
                               : "[" + options.http.address + "]";
  std::fprintf(stderr, "Serving %s on %s://%s:%d (%s, context %lld tokens, %zu keys).\n",
               serving.stack->name.c_str(), options.http.tls_certificate.empty() ? "http" : "https",
               host.c_str(), serving.server->port(),
               serving.stack->engine->model().numerics.id().c_str(),
               static_cast<long long>(serving.stack->context), options.keys.size());
}

int serve(const ServeOptions& options) {
  if (options.print_config) {
    std::fputs(print_config(options).c_str(), stdout);
    return kExitOk;
  }
  if (const Status good = check(options); !good) return fail(good.error());
  StopSignals signals;
  auto serving = start(options);
  if (!serving) return fail(serving.error());
  Serving& s = **serving;
  signals.set_hangup([&s] {
    if (!s.log) return;
    if (const Status opened = s.log->reopen(); !opened) fail(opened.error());
  });
  announce(options, s);
  signals.wait();
  std::fputs("Stopping: no new requests, waiting for those that run.\n", stderr);
  s.service->set_draining();
  const bool all = s.server->drain(options.drain);
  std::fputs(all ? "Every request was answered.\n" : "Requests that took too long were cut.\n",
             stderr);
  signals.set_hangup({});
  return kExitOk;
}

}  // namespace

void add_serve(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("serve", "Serve the model to OpenAI and Anthropic clients");
  const auto options = std::make_shared<ServeOptions>();
  add_serve_options(*command, *options);
  command->footer(
      "Examples:\n"
      "  plumb serve\n"
      "  plumb serve --model DIR --port 8000\n"
      "  plumb serve --config plumb.toml --print-config\n"
      "SIGTERM and Ctrl-C stop it when running requests are answered; a second one at once.");
  command->callback([options, &status] { status = serve(*options); });
}

}  // namespace plumb
