// Any bytes as JSON: a value or a refusal; what was accepted reads back the same from every writer.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = plumb::parse_json(text, "input", {.max_depth = 32, .max_bytes = 1 << 20});
  if (!value) return 0;
  const std::string compact = value->dump();
  const auto again = plumb::parse_json(compact, "compact");
  if (!again || again->dump() != compact) std::abort();
  const auto pretty = plumb::parse_json(value->dump_pretty(), "pretty");
  if (!pretty || pretty->dump() != compact) std::abort();
  // Infinity, which Python writes for 1e999, is not JSON; everything else Python writes is.
  const std::string python = value->dump_python();
  if (python.find("Infinity") == python.npos && !plumb::parse_json(python, "python")) std::abort();
  return 0;
}
