// The file: TOML to options and back.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <utility>

#include "apps/serve_options.h"
#include "apps/serve_settings.h"
#include "apps/toml_characters.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"
#include "base/utf8.h"

// Errors of the parser come as values.
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace plumb {
namespace {

constexpr std::uint64_t kMaxKeyFile = 64 << 10;

// Where in the text something is, for errors.
struct Place {
  std::string_view what;
  const toml::node& node;
  Error error(std::string_view message) const {
    return {Code::kInvalid, str(what, ", line ", node.source().begin.line, ": ", message)};
  }
};

std::optional<SettingValue> value_of(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_string()) return from_ascii_toml(value->get());
  const auto* array = node.as_array();
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> texts;
  for (const toml::node& item : *array) {
    const auto* text = item.as_string();
    if (text == nullptr) return std::nullopt;
    texts.push_back(from_ascii_toml(text->get()));
  }
  return texts;
}

// As a sentence shows it.
std::string shown(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
  if (const auto* value = node.as_integer()) return str(value->get());
  if (const auto* value = node.as_floating_point()) return str(value->get());
  if (const auto* value = node.as_string()) return str("\"", from_ascii_toml(value->get()), "\"");
  if (node.is_table()) return "a table";
  if (node.is_array()) return "an array";
  return "a date or time";
}

std::string toml_quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : replace_invalid_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"') {
      out += "\\\"";
    } else if (byte < 0x20 || byte == 0x7f || c == '\\') {
      // A backslash too: "\\u007e" would be taken for an escape by to_ascii_toml().
      constexpr const char* kDigits = "0123456789abcdef";
      out += str("\\u00", kDigits[byte >> 4], kDigits[byte & 15]);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string toml_text(const SettingValue& value) {
  struct Writer {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::int64_t v) const { return str(v); }
    std::string operator()(double v) const { return str(v); }
    std::string operator()(const std::string& v) const { return toml_quote(v); }
    std::string operator()(const std::vector<std::string>& v) const {
      std::string out = "[";
      for (const std::string& item : v) out += (out.size() > 1 ? ", " : "") + toml_quote(item);
      return out + "]";
    }
  };
  return std::visit(Writer{}, value);
}

std::string listed(const std::vector<std::string_view>& names) {
  std::string out;
  for (const std::string_view name : names) out += str(out.empty() ? "" : ", ", name);
  return out;
}

Status read_section(const toml::table& table, std::string_view section,
                    const std::vector<Setting>& settings, std::string_view what) {
  for (const auto& [key, node] : table) {
    const auto found = std::find_if(
        settings.begin(), settings.end(),
        [&, name = key.str()](const Setting& s) { return s.section == section && s.key == name; });
    const Place place{what, node};
    if (found == settings.end()) {
      std::vector<std::string_view> known;
      for (const Setting& s : settings) {
        if (s.section == section) known.push_back(s.key);
      }
      return place.error(str("[", section, "] has no setting \"", from_ascii_toml(key.str()),
                             "\"; it has ", listed(known), "."));
    }
    const auto value = value_of(node);
    if (!value || !found->set(*value)) {
      return place.error(str(key.str(), " in [", section, "] is ", shown(node), ", expected ",
                             found->expected, "."));
    }
  }
  return {};
}

// One table of [[keys]].
class KeyReader {
 public:
  KeyReader(const toml::table& table, std::string_view what, const SecretSource& secrets)
      : table_(table), what_(what), secrets_(secrets) {}

  Result<ApiKeyOptions> read() {
    PLUMB_TRY_STATUS(check_names());
    PLUMB_TRY_STATUS(text("name", key_.name));
    if (key_.name.empty()) {
      return Place{what_, table_}.error("An entry of [[keys]] has no name.");
    }
    PLUMB_TRY_STATUS(read_digest());
    PLUMB_TRY_STATUS(read_scopes());
    PLUMB_TRY_STATUS(number("max_parallel", key_.limits.max_parallel));
    PLUMB_TRY_STATUS(number("requests_per_minute", key_.limits.requests_per_minute));
    PLUMB_TRY_STATUS(number("tokens_per_minute", key_.limits.tokens_per_minute));
    return key_;
  }

 private:
  // The first four say which key it is.
  static constexpr std::array<std::string_view, 9> kSettings = {"key",
                                                                "sha256",
                                                                "key_file",
                                                                "key_env",
                                                                "name",
                                                                "scopes",
                                                                "max_parallel",
                                                                "requests_per_minute",
                                                                "tokens_per_minute"};
  static constexpr std::size_t kSources = 4;

  Status check_names() const {
    for (const auto& [key, node] : table_) {
      if (std::count(kSettings.begin(), kSettings.end(), key.str()) > 0) continue;
      return Place{what_, node}.error(str("[[keys]] has no setting \"", from_ascii_toml(key.str()),
                                          "\"; it has ",
                                          listed({kSettings.begin(), kSettings.end()}), "."));
    }
    return {};
  }

  // Does not show the value: it may be a key.
  Status text(std::string_view name, std::string& out) const {
    const toml::node* node = table_.get(name);
    if (node == nullptr) return {};
    const auto* value = node->as_string();
    if (value == nullptr || value->get().empty()) {
      return Place{what_, *node}.error(str(name, " in [[keys]] is not a string with text in it."));
    }
    out = from_ascii_toml(value->get());
    return {};
  }

  template <class T>
  Status number(std::string_view name, T& out) const {
    const toml::node* node = table_.get(name);
    if (node == nullptr) return {};
    const auto* value = node->as_integer();
    if (value == nullptr || value->get() < 0 || value->get() > std::numeric_limits<T>::max()) {
      return Place{what_, *node}.error(str(name, " of the key \"", key_.name, "\" is ",
                                           shown(*node), ", expected an integer from 0 to ",
                                           std::numeric_limits<T>::max(), "."));
    }
    out = static_cast<T>(value->get());
    return {};
  }

  Status read_digest() {
    std::string value;
    std::string_view source;
    for (std::size_t i = 0; i < kSources; ++i) {
      const std::string_view name = kSettings[i];
      if (!table_.contains(name)) continue;
      if (!source.empty()) {
        return Place{what_, table_}.error(str("The key \"", key_.name, "\" has both ", source,
                                              " and ", name, ", expected one of them."));
      }
      source = name;
      PLUMB_TRY_STATUS(text(name, value));
    }
    if (source.empty()) {
      return Place{what_, table_}.error(
          str("The key \"", key_.name, "\" has none of key, sha256, key_file and key_env."));
    }
    if (source == "sha256") {
      key_.sha256 = value;
      return {};
    }
    PLUMB_TRY(secret, fetch(source, value));
    PLUMB_TRY(digest, api_key_digest(key_.name, secret));
    key_.sha256 = digest;
    return {};
  }

  Result<std::string> fetch(std::string_view source, const std::string& value) const {
    if (source == "key") return value;
    const Place place{what_, *table_.get(source)};
    std::string secret;
    if (source == "key_env") {
      const auto found = secrets_.environment(value);
      if (!found) {
        return place.error(str("The key \"", key_.name, "\" is to come from the variable ", value,
                               ", which is not set."));
      }
      secret = *found;
    } else {
      const auto read = secrets_.file(value);
      if (!read) return place.error(str("The key \"", key_.name, "\": ", read.error().message));
      secret = *read;
    }
    // Files end with a newline.
    secret.erase(secret.find_last_not_of(" \t\r\n") + 1);
    return secret;
  }

  Status read_scopes() {
    const toml::node* node = table_.get("scopes");
    if (node == nullptr) return {};
    const auto value = value_of(*node);
    const auto* names = value ? std::get_if<std::vector<std::string>>(&*value) : nullptr;
    key_.scopes = {};
    if (names != nullptr) {
      for (const std::string& name : *names) {
        const auto scope = std::find_if(kScopes.begin(), kScopes.end(),
                                        [&](Scope s) { return to_string(s) == name; });
        if (scope == kScopes.end()) {
          names = nullptr;
          break;
        }
        key_.scopes.add(*scope);
      }
    }
    if (names != nullptr && !key_.scopes.empty()) return {};
    return Place{what_, *node}.error(str("scopes of the key \"", key_.name,
                                         "\" is not an array of \"inference\", \"metrics\" and "
                                         "\"admin\"."));
  }

  const toml::table& table_;
  const std::string_view what_;
  const SecretSource& secrets_;
  ApiKeyOptions key_;
};

Status read_keys(const toml::node& node, std::string_view what, const SecretSource& secrets,
                 ServeOptions& options) {
  const auto* array = node.as_array();
  if (array == nullptr) {
    return Place{what, node}.error(str("keys is ", shown(node), ", expected tables [[keys]]."));
  }
  options.keys.clear();
  for (const toml::node& item : *array) {
    const auto* table = item.as_table();
    if (table == nullptr) {
      return Place{what, item}.error("keys holds something that is not a table.");
    }
    PLUMB_TRY(key, KeyReader(*table, what, secrets).read());
    options.keys.push_back(std::move(key));
  }
  return {};
}

Status read_aliases(const toml::node& node, std::string_view what, ServeOptions& options) {
  const auto* table = node.as_table();
  if (table == nullptr) {
    return Place{what, node}.error(str("aliases is ", shown(node), ", expected a table."));
  }
  options.aliases.clear();
  for (const auto& [key, model] : *table) {
    const std::string alias = from_ascii_toml(key.str());
    const auto* name = model.as_string();
    if (name == nullptr || name->get().empty() || alias.empty()) {
      return Place{what, model}.error(
          str("The alias \"", alias, "\" is ", shown(model), ", expected the name of a model."));
    }
    options.aliases.emplace(alias, from_ascii_toml(name->get()));
  }
  return {};
}

Status read_table(const toml::table& root, std::string_view what, const SecretSource& secrets,
                  ServeOptions& options) {
  const std::vector<Setting> settings = serve_settings(options);
  for (const auto& [key, node] : root) {
    const std::string_view section = key.str();
    if (section == "keys") {
      PLUMB_TRY_STATUS(read_keys(node, what, secrets, options));
      continue;
    }
    if (section == "aliases") {
      PLUMB_TRY_STATUS(read_aliases(node, what, options));
      continue;
    }
    const bool known = std::any_of(settings.begin(), settings.end(),
                                   [&](const Setting& s) { return s.section == section; });
    if (!known || !node.is_table()) {
      return Place{what, node}.error(
          str("\"", from_ascii_toml(section), "\" is ", known ? "not a table" : "not known",
              "; a file has [model], [server], [tls], [limits], [log], [[keys]] and [aliases]."));
    }
    PLUMB_TRY_STATUS(read_section(*node.as_table(), section, settings, what));
  }
  return {};
}

std::string print_key(const ApiKeyOptions& key) {
  std::vector<std::string> scopes;
  for (const Scope scope : kScopes) {
    if (key.scopes.has(scope)) scopes.emplace_back(to_string(scope));
  }
  return str("\n[[keys]]\nname = ", toml_quote(key.name), "\nsha256 = ", toml_quote(key.sha256),
             "\nscopes = ", toml_text(scopes), "\nmax_parallel = ", key.limits.max_parallel,
             "\nrequests_per_minute = ", key.limits.requests_per_minute,
             "\ntokens_per_minute = ", key.limits.tokens_per_minute, "\n");
}

}  // namespace

ServeOptions::ServeOptions() { stack.sequences = 16; }

SecretSource system_secrets() {
  return {[](const std::string& path) { return read_file(path, kMaxKeyFile); },
          [](const std::string& name) -> std::optional<std::string> {
            const char* value = std::getenv(name.c_str());
            if (value == nullptr) return std::nullopt;
            return value;
          }};
}

Status read_config(const std::string& text, std::string_view what, ServeOptions& options,
                   const SecretSource& secrets) {
  PLUMB_TRY(ascii, to_ascii_toml(text, what));
  const toml::parse_result parsed = toml::parse(ascii);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return Error{Code::kCorrupt,
                 str(what, ", line ", error.source().begin.line,
                     ": this is not TOML: ", from_ascii_toml(error.description()), ".")};
  }
  ServeOptions next = options;
  PLUMB_TRY_STATUS(read_table(parsed.table(), what, secrets, next));
  options = std::move(next);
  return {};
}

std::string print_config(const ServeOptions& options) {
  ServeOptions copy = options;
  std::string out;
  std::string_view section;
  for (const Setting& setting : serve_settings(copy)) {
    if (setting.section != section) {
      out += str(out.empty() ? "" : "\n", "[", setting.section, "]\n");
      section = setting.section;
    }
    out += str(setting.key, " = ", toml_text(setting.get()), "\n");
  }
  out += "\n[aliases]\n";
  for (const auto& [alias, model] : options.aliases) {
    out += str(toml_quote(alias), " = ", toml_quote(model), "\n");
  }
  for (const ApiKeyOptions& key : options.keys) out += print_key(key);
  return out;
}

std::string config_digest(const ServeOptions& options) { return sha256_hex(print_config(options)); }

}  // namespace plumb
