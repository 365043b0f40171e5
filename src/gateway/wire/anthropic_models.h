// Anthropic's list of models: GET /v1/models and /v1/models/{id}.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/provider.h"

namespace plumb::wire {

// The models, then the aliases (name → model) of those; all on one page.
std::string anthropic_models(const std::vector<ModelCard>& cards,
                             const std::vector<std::pair<std::string, std::string>>& aliases);
// One of them; nullopt: there is no such name.
std::optional<std::string> anthropic_model(
    const std::vector<ModelCard>& cards,
    const std::vector<std::pair<std::string, std::string>>& aliases, std::string_view name);

}  // namespace plumb::wire
