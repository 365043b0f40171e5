#include "apps/serve_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/strings.h"
#include "base/utf8.h"

namespace plumb {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kMaxSeconds = 30 * 86400;

// What a setting accepts and where it goes.
struct Slot {
  std::string expected;
  std::function<bool(const SettingValue&)> set;
  std::function<SettingValue()> get;
};

template <class T>
Slot integer(T& target, std::int64_t low, std::int64_t high) {
  return {str("an integer from ", low, " to ", high),
          [&target, low, high](const SettingValue& value) {
            const auto* number = std::get_if<std::int64_t>(&value);
            if (number == nullptr || *number < low || *number > high) return false;
            target = static_cast<T>(*number);
            return true;
          },
          [&target] { return SettingValue(static_cast<std::int64_t>(target)); }};
}

Slot boolean(bool& target) {
  return {"true or false",
          [&target](const SettingValue& value) {
            const auto* given = std::get_if<bool>(&value);
            if (given != nullptr) target = *given;
            return given != nullptr;
          },
          [&target] { return SettingValue(target); }};
}

bool is_text(std::string_view text) { return is_valid_utf8(text) && text.find('\0') == text.npos; }

Slot text(std::string& target) {
  return {"a string",
          [&target](const SettingValue& value) {
            const auto* given = std::get_if<std::string>(&value);
            if (given == nullptr || !is_text(*given)) return false;
            target = *given;
            return true;
          },
          [&target] { return SettingValue(target); }};
}

Slot texts(std::vector<std::string>& target) {
  return {"an array of strings",
          [&target](const SettingValue& value) {
            const auto* given = std::get_if<std::vector<std::string>>(&value);
            if (given == nullptr || !std::all_of(given->begin(), given->end(), is_text)) {
              return false;
            }
            target = *given;
            return true;
          },
          [&target] { return SettingValue(target); }};
}

// "plain", "vendor" or "fast", quoted.
std::string alternatives(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " or " : ", ";
    out += str("\"", names[i], "\"");
  }
  return out;
}

Slot one_of(std::string& target, std::vector<std::string> names) {
  Slot slot = text(target);
  slot.expected = alternatives(names);
  slot.set = [&target, names = std::move(names)](const SettingValue& value) {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr || std::count(names.begin(), names.end(), *given) == 0) return false;
    target = *given;
    return true;
  };
  return slot;
}

Slot level(LogLevel& target) {
  return {alternatives({"requests", "errors"}),
          [&target](const SettingValue& value) {
            const auto* given = std::get_if<std::string>(&value);
            if (given == nullptr || (*given != "requests" && *given != "errors")) return false;
            target = *given == "errors" ? LogLevel::kErrors : LogLevel::kRequests;
            return true;
          },
          [&target] {
            return SettingValue(std::string(target == LogLevel::kErrors ? "errors" : "requests"));
          }};
}

// A number, or a string with a unit.
template <class T>
Slot size(T& target, std::uint64_t low, std::uint64_t high) {
  return {
      str("a size from ", size_text(low), " to ", size_text(high), ", such as \"24GiB\" or 4096"),
      [&target, low, high](const SettingValue& value) {
        std::optional<std::uint64_t> given;
        if (const auto* number = std::get_if<std::int64_t>(&value); number && *number >= 0) {
          given = static_cast<std::uint64_t>(*number);
        } else if (const auto* words = std::get_if<std::string>(&value)) {
          given = parse_size(*words);
        }
        if (!given || *given < low || *given > high) return false;
        target = static_cast<T>(*given);
        return true;
      },
      [&target] {
        const auto bytes = static_cast<std::uint64_t>(target);
        if (bytes % 1024 != 0 || bytes == 0) {
          return SettingValue(static_cast<std::int64_t>(bytes));
        }
        return SettingValue(size_text(bytes));
      }};
}

// Whole milliseconds, said in seconds.
Slot seconds(milliseconds& target, double low) {
  return {str("seconds from ", low, " to ", kMaxSeconds),
          [&target, low](const SettingValue& value) {
            double given = std::numeric_limits<double>::quiet_NaN();
            if (const auto* whole = std::get_if<std::int64_t>(&value)) {
              given = static_cast<double>(*whole);
            } else if (const auto* part = std::get_if<double>(&value)) {
              given = *part;
            }
            if (!(given >= low && given <= static_cast<double>(kMaxSeconds))) return false;
            target = milliseconds(std::llround(given * 1000));
            return true;
          },
          [&target] {
            const std::int64_t ms = target.count();
            if (ms % 1000 == 0) return SettingValue(ms / 1000);
            return SettingValue(static_cast<double>(ms) / 1000);
          }};
}

class Table {
 public:
  explicit Table(std::string_view section, std::vector<Setting>& out)
      : section_(section), out_(out) {}
  void add(std::string_view key, Slot slot, std::string_view flag = {},
           std::string_view help = {}) {
    out_.push_back({section_, key, flag, help, std::move(slot.expected), std::move(slot.set),
                    std::move(slot.get)});
  }

 private:
  std::string_view section_;
  std::vector<Setting>& out_;
};

// The flags of these but the name are add_stack_options().
void add_model(ServeOptions& options, std::vector<Setting>& out) {
  constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 30;
  StackOptions& stack = options.stack;
  Table model("model", out);
  model.add("path", text(stack.model));
  model.add("name", text(options.name), "--name",
            "The model's name for clients (default: its directory's)");
  model.add("numerics", one_of(stack.numerics, {"auto", "plain", "vendor", "fast"}));
  model.add("device", text(stack.device));
  model.add("isa", text(stack.isa));
  model.add("threads", integer(stack.threads, 0, 4096));
  model.add("memory", size(stack.memory, 0, std::uint64_t{1} << 50));
  model.add("context", size(stack.context, 0, kMostTokens));
  model.add("draft", integer(stack.draft, 0, 16));
}

void add_server(ServeOptions& options, std::vector<Setting>& out) {
  HttpServerOptions& http = options.http;
  Table server("server", out);
  server.add("address", text(http.address), "--address,--host", "Address to listen at");
  server.add("port", integer(http.port, 0, 65535), "--port", "Port to listen at; 0: any free one");
  server.add("io_threads", integer(http.io_threads, 1, 64));
  server.add("worker_threads", integer(http.worker_threads, 1, 64));
  server.add("max_connections", integer(http.max_connections, 1, 1'000'000), "--max-connections",
             "Connections that may be open at the same time");
  server.add("max_head", size(http.max_head, 1 << 10, 1 << 20));
  server.add("head_timeout_s", seconds(http.head_timeout, 0.001));
  server.add("body_timeout_s", seconds(http.body_timeout, 0.001));
  server.add("write_timeout_s", seconds(http.write_timeout, 0.001));
  server.add("idle_timeout_s", seconds(http.idle_timeout, 0.001));
  server.add("keep_alive_s", seconds(http.keep_alive, 0.001));
  server.add("drain_s", seconds(options.drain, 0), "--drain",
             "Seconds for running requests when the server is stopped");
  server.add("cors_origins", texts(options.cors_origins), "--cors-origin",
             "Web pages of this origin may use the server (*: of any); may be given several times");
  server.add("record", text(options.record), "--record",
             "Keep every request in this directory, to replay it");
  Table tls("tls", out);
  tls.add("certificate", text(http.tls_certificate), "--tls-certificate",
          "Serve HTTPS with the certificate chain in this PEM file");
  tls.add("key", text(http.tls_key), "--tls-key", "The certificate's private key, a PEM file");
}

void add_limits(ServeOptions& options, std::vector<Setting>& out) {
  Table limits("limits", out);
  limits.add("parallel", integer(options.stack.sequences, 1, 256), "--parallel",
             "Answers to compute at the same time");
  limits.add("queue", integer(options.max_queue, 1, 1'000'000), "--queue",
             "Requests that may wait; more are refused with 429");
  limits.add("request_timeout_s", seconds(options.request_timeout, 0), "--request-timeout",
             "Seconds after which an answer is ended; 0: never");
  limits.add("max_body", size(options.max_body, 1 << 10, std::uint64_t{1} << 32), "--max-body",
             "Largest body of a request, such as 64MiB");
  Table guards("guards", out);
  guards.add("max_reasoning_tokens", integer(options.guards.max_reasoning, -1, 1 << 30),
             "--max-reasoning",
             "Tokens of reasoning, after which the answer begins; -1: any number");
  guards.add("max_repeated_tokens", integer(options.guards.max_repeated, 0, 1 << 30),
             "--max-repeated",
             "An answer that has repeated itself for so many tokens is ended; 0: never");
  guards.add("max_call_tokens", integer(options.guards.max_call, 0, 1 << 30), "--max-call",
             "An answer whose tool call takes more tokens is ended; 0: never");
  Table log("log", out);
  log.add("path", text(options.log.path), "--log",
          "Where a line per request goes: a file, -: stderr, or an empty string: nowhere");
  log.add("level", level(options.log.level), "--log-level",
          "requests: a line for each, or errors: for those that were refused or broken off");
  log.add("content", boolean(options.log.content), "--log-content",
          "Write prompts and answers to the log as well");
}

}  // namespace

std::vector<Setting> serve_settings(ServeOptions& options) {
  std::vector<Setting> out;
  add_model(options, out);
  add_server(options, out);
  add_limits(options, out);
  return out;
}

bool set_from_word(const Setting& setting, const std::string& word) {
  const char* const end = word.data() + word.size();
  std::int64_t whole = 0;
  if (const auto read = std::from_chars(word.data(), end, whole);
      read.ec == std::errc() && read.ptr == end && setting.set(whole)) {
    return true;
  }
  double part = 0;
  if (const auto read = std::from_chars(word.data(), end, part);
      read.ec == std::errc() && read.ptr == end && setting.set(part)) {
    return true;
  }
  return setting.set(word);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc()) return std::nullopt;
  std::string unit(read.ptr, end);
  std::transform(unit.begin(), unit.end(), unit.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
  });
  constexpr std::array<std::string_view, 5> kUnits = {"", "k", "m", "g", "t"};
  std::uint64_t factor = 1;
  for (const std::string_view prefix : kUnits) {
    if (unit == prefix || unit == str(prefix, "b") ||
        (!prefix.empty() && unit == str(prefix, "ib"))) {
      if (number > std::numeric_limits<std::uint64_t>::max() / factor) return std::nullopt;
      return number * factor;
    }
    factor *= 1024;
  }
  return std::nullopt;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return str(bytes, kUnits[unit]);
}

}  // namespace plumb
