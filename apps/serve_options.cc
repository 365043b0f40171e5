// The command line, and what is checked when file and command line are known.
#include "apps/serve_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "apps/serve_settings.h"
#include "base/file.h"
#include "base/strings.h"

namespace plumb {
namespace {

constexpr std::uint64_t kMaxConfig = 1 << 20;

void require(std::string_view flag, const Status& status) {
  if (!status) throw CLI::ValidationError(std::string(flag), status.error().message);
}

void add_config_option(CLI::App& command, ServeOptions& options) {
  // Runs before the callbacks of all options that are added later, so that these override the file.
  // The variable is read for every command of the program, hence the question.
  command
      .add_option_function<std::string>(
          "--config",
          [&command, &options](const std::string& path) {
            if (!command.parsed()) return;
            const auto text = read_file(path, kMaxConfig);
            if (!text) throw CLI::ValidationError("--config", text.error().message);
            require("--config", read_config(*text, path, options));
          },
          "Read settings from this TOML file; the command line overrides it")
      ->envname("PLUMB_CONFIG")
      ->type_name("FILE");
}

void add_setting(CLI::App& command, const Setting& setting) {
  const std::string flag(setting.flag), help(setting.help);
  const auto current = setting.get();
  const auto refused = [setting](const std::string& word) {
    return CLI::ValidationError(std::string(setting.flag),
                                str(word, " is not ", setting.expected, "."));
  };
  if (std::holds_alternative<bool>(current)) {
    command.add_flag_callback(
        flag, [setting] { setting.set(true); }, help);
  } else if (std::holds_alternative<std::vector<std::string>>(current)) {
    command
        .add_option_function<std::vector<std::string>>(
            flag,
            [setting, refused](const std::vector<std::string>& words) {
              if (!setting.set(words)) throw refused(words.front());
            },
            help)
        ->allow_extra_args(false);
  } else {
    command.add_option_function<std::string>(
        flag,
        [setting, refused](const std::string& word) {
          if (!set_from_word(setting, word)) throw refused(word);
        },
        help);
  }
}

void add_aliases(ServeOptions& options, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == word.npos || equals == 0 || equals + 1 == word.size()) {
      throw CLI::ValidationError("--alias", str(word, " is not NAME=MODEL."));
    }
    options.aliases[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

// Keys of the command line do everything but administer, without limits.
void add_key_files(ServeOptions& options, const std::vector<std::string>& paths) {
  const SecretSource secrets = system_secrets();
  int number = 0;
  for (const std::string& path : paths) {
    ApiKeyOptions key;
    key.name = str("command-line-", ++number);
    key.scopes = {Scope::kInference, Scope::kMetrics};
    auto secret = secrets.file(path);
    if (!secret) throw CLI::ValidationError("--key-file", secret.error().message);
    secret->erase(secret->find_last_not_of(" \t\r\n") + 1);
    auto digest = api_key_digest(key.name, *secret);
    if (!digest) throw CLI::ValidationError("--key-file", digest.error().message);
    key.sha256 = std::move(*digest);
    options.keys.push_back(std::move(key));
  }
}

// "https://app.example:8443", or "*".
bool is_origin(const std::string& text) {
  if (text == "*") return true;
  const std::size_t scheme = text.find("://");
  return scheme != text.npos && scheme > 0 && scheme + 3 < text.size() &&
         text.find_first_of("/?# \t\r\n", scheme + 3) == text.npos;
}

}  // namespace

Status check(const ServeOptions& options) {
  const HttpServerOptions& http = options.http;
  if (http.tls_certificate.empty() != http.tls_key.empty()) {
    return Error{Code::kInvalid,
                 str("TLS needs a certificate and its key, but ",
                     http.tls_key.empty() ? "key" : "certificate", " in [tls] is empty.")};
  }
  for (const std::string& origin : options.cors_origins) {
    if (is_origin(origin)) continue;
    return Error{Code::kInvalid, str("cors_origins has \"", origin,
                                     "\", expected \"*\" or an origin such as "
                                     "\"https://app.example\", without a path.")};
  }
  PLUMB_TRY_STATUS(ApiKeys::create(options.keys));
  return {};
}

Status check_aliases(const ServeOptions& options, std::string_view served) {
  for (const auto& [alias, model] : options.aliases) {
    if (model == served) continue;
    return Error{Code::kInvalid, str("The alias \"", alias, "\" stands for \"", model,
                                     "\", but the model here is \"", served, "\".")};
  }
  return {};
}

void add_serve_options(CLI::App& command, ServeOptions& options) {
  add_config_option(command, options);
  command.add_flag("--print-config", options.print_config,
                   "Print the settings as TOML, keys as digests, and exit");
  add_stack_options(command, options.stack);
  for (const Setting& setting : serve_settings(options)) {
    if (!setting.flag.empty()) add_setting(command, setting);
  }
  command
      .add_option_function<std::vector<std::string>>(
          "--alias",
          [&options](const std::vector<std::string>& words) { add_aliases(options, words); },
          "NAME=MODEL: a further name of the model (*: every name); may be given several times")
      ->allow_extra_args(false);
  command
      .add_option_function<std::vector<std::string>>(
          "--key-file",
          [&options](const std::vector<std::string>& paths) { add_key_files(options, paths); },
          "A file with an API key that clients must send; may be given several times")
      ->allow_extra_args(false);
}

}  // namespace plumb
