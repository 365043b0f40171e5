// How `plumb serve` is configured: defaults, then a TOML file, then the command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/stack.h"
#include "base/result.h"
#include "server/api_keys.h"
#include "server/http_server.h"
#include "server/request_log.h"

namespace CLI {
class App;
}

namespace plumb {

struct ServeOptions {
  ServeOptions();  // with the defaults of a server

  StackOptions stack;
  HttpServerOptions http;
  std::string name;  // by which clients know the model; empty: its directory's
  std::map<std::string, std::string> aliases;  // further names; "*": every name
  std::vector<ApiKeyOptions> keys;
  int max_queue = 256;                           // requests that wait
  std::chrono::milliseconds request_timeout{0};  // 0: none
  Guards guards = {-1, 256, 0};                  // where a request names none
  std::uint64_t max_body = std::uint64_t{64} << 20;
  std::chrono::milliseconds drain{30000};  // for running requests when the server is stopped
  std::vector<std::string> cors_origins;   // "*": any
  RequestLogOptions log;
  std::string record;  // directory for requests to replay; empty: none

  // Not in the file.
  bool print_config = false;
};

// Where keys that are not in the file itself come from; tests give their own.
struct SecretSource {
  std::function<Result<std::string>(const std::string& path)> file;
  std::function<std::optional<std::string>(const std::string& name)> environment;
};
SecretSource system_secrets();

// Adds what the TOML text says to `options`. `what` names the text in errors. kCorrupt: it is not
// TOML; kInvalid names a setting that is unknown (and those that are known there) or has the wrong
// value, with its line. `options` is unchanged then.
Status read_config(const std::string& text, std::string_view what, ServeOptions& options,
                   const SecretSource& secrets = system_secrets());
// All settings as TOML that reads back as the same options; keys as digests.
std::string print_config(const ServeOptions& options);
// SHA-256 of print_config(), in hexadecimal.
std::string config_digest(const ServeOptions& options);

// What one setting alone cannot show: both files of TLS, keys, origins.
Status check(const ServeOptions& options);
// kInvalid names an alias of a model that is not `served`, the only one there is.
Status check_aliases(const ServeOptions& options, std::string_view served);

// --config (or PLUMB_CONFIG), --print-config, the options of the model, and those of the server.
// When the command has been parsed, `options` holds file and command line; errors come as
// CLI::ParseError.
void add_serve_options(CLI::App& command, ServeOptions& options);

}  // namespace plumb
