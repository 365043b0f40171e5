// The subcommands of serve_load, and what they share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "load/client.h"

namespace CLI {
class App;
}

namespace plumb::load {

// Which server, and where the report goes.
struct ServerOptions {
  std::string url = "http://127.0.0.1:8080";
  std::string model;  // as the requests name it
  std::string key;
  std::string json;  // the report's file; empty: none
  std::uint64_t seed = 1;
  int timeout_s = 120;
};
void add_server_options(CLI::App& command, ServerOptions& options);
Result<ClientOptions> client_options(const ServerOptions& options);

// Prints an error; the exit status.
int fail(const Error& error);
// Writes the report, if it is wanted; what is wrong is printed. The exit status: `status`, or 1.
int write_report(const ServerOptions& options, const Json& report, int status);

// Each adds its subcommand, which sets `status` when it ran: 0, or 1 when a check failed.
void add_run(CLI::App& app, int& status);
void add_flood(CLI::App& app, int& status);
void add_beside(CLI::App& app, int& status);
void add_watch(CLI::App& app, int& status);

}  // namespace plumb::load
