// The settings of `plumb serve`, one table for the file, the command line and what is printed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "apps/serve_options.h"

namespace plumb {

using SettingValue =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>>;

// One setting of some ServeOptions, which must outlive it.
struct Setting {
  std::string_view section, key;  // [server] port
  std::string_view flag;          // "--port"; empty: not here on the command line
  std::string_view help;          // of the flag
  std::string expected;           // "an integer from 0 to 65535"
  std::function<bool(const SettingValue& value)> set;  // false: not what is expected
  std::function<SettingValue()> get;                   // what set() would take
};

// In the order in which they are printed; those of a section are together.
std::vector<Setting> serve_settings(ServeOptions& options);

// Sets from a word of the command line.
bool set_from_word(const Setting& setting, const std::string& word);

// "64MiB", "128k", "4096": powers of 1024. nullopt: none of these, or too large.
std::optional<std::uint64_t> parse_size(std::string_view text);
// The shortest form that parse_size() reads back.
std::string size_text(std::uint64_t bytes);

}  // namespace plumb
