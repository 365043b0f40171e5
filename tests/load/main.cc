// serve_load: clients that press a server, and look closely at what it answers.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/file.h"
#include "load/commands.h"

namespace plumb::load {

void add_server_options(CLI::App& command, ServerOptions& options) {
  command.add_option("--url", options.url, "The server")->capture_default_str();
  command.add_option("--model", options.model, "Its model, as requests name it");
  command.add_option("--key", options.key, "API key");
  command.add_option("--json", options.json, "File for the report as JSON");
  command.add_option("--seed", options.seed, "Of what is asked")->capture_default_str();
  command.add_option("--timeout", options.timeout_s, "Seconds for one whole request")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

Result<ClientOptions> client_options(const ServerOptions& options) {
  PLUMB_TRY(target, parse_target(options.url));
  return ClientOptions{std::move(target), options.key, std::chrono::seconds(options.timeout_s)};
}

int fail(const Error& error) {
  std::fprintf(stderr, "serve_load: %s\n", error.message.c_str());
  return 1;
}

int write_report(const ServerOptions& options, const Json& report, int status) {
  if (options.json.empty()) return status;
  const Status written = write_file_atomically(options.json, report.dump_pretty() + "\n");
  return written ? status : fail(written.error());
}

}  // namespace plumb::load

int main(int argc, char** argv) {
  CLI::App app("Clients that press a server of OpenAI's or Anthropic's formats.");
  app.require_subcommand(1);
  int status = 0;
  plumb::load::add_run(app, status);
  plumb::load::add_flood(app, status);
  plumb::load::add_beside(app, status);
  plumb::load::add_watch(app, status);
  CLI11_PARSE(app, argc, argv);
  return status;
}
