// Any bytes as the server's settings: options that print as TOML and read back the same, or a
// refusal that is a sentence and leaves the options as they were.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "apps/serve_options.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// No input opens a file or reads the environment.
plumb::SecretSource no_secrets() {
  return {[](const std::string& path) -> plumb::Result<std::string> {
            if (path == "key") return std::string("0123456789abcdef\n");
            return plumb::Error{plumb::Code::kNotFound, "There are no files here."};
          },
          [](const std::string&) { return std::optional<std::string>(); }};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  plumb::ServeOptions options;
  const auto status = plumb::read_config(text, "input", options, no_secrets());
  if (!status) {
    const auto& error = status.error();
    require(error.code == plumb::Code::kInvalid || error.code == plumb::Code::kCorrupt);
    require(!error.message.empty() && error.message.back() == '.');
    require(plumb::print_config(options) == plumb::print_config(plumb::ServeOptions()));
    return 0;
  }
  const std::string printed = plumb::print_config(options);
  plumb::ServeOptions again;
  require(plumb::read_config(printed, "printed", again, no_secrets()).has_value());
  require(plumb::print_config(again) == printed);
  require(again.keys == options.keys && again.aliases == options.aliases);
  return 0;
}
