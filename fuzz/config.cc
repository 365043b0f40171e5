// Any bytes as a config.json: a Config that is within its limits and whose inventory can be listed,
// or a refusal that is a sentence. The same bytes as a tensor name: another name, or a refusal.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/inventory.h"
#include "model/deepseek_v4/names.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace v4 = plumb::deepseek_v4;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto name = v4::canonical_name(text);
  require(name || name.error().code == plumb::Code::kUnsupported);
  const auto config = v4::Config::parse(text, "input");
  if (!config) {
    require(!config.error().message.empty() && config.error().message.back() == '.');
    return 0;
  }
  require(config->experts_per_token <= config->experts && config->heads % config->out_groups == 0);
  require(config->rope_dim >= 2 && config->rope_dim <= config->head_dim);
  if (config->layers.size() * static_cast<std::size_t>(config->experts) > 4096) return 0;  // slow
  for (const v4::Parameter& p : v4::inventory(*config)) {
    require(!p.shape.empty());
    for (const std::int64_t extent : p.shape) require(extent > 0);
  }
  return 0;
}
