// Anthropic's list of models: GET /v1/models and /v1/models/{id}.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/provider.h"
#include "gateway/wire/model_names.h"

namespace plumb::wire {

// The models, then the aliases (name → model) of those; all on one page.
std::string anthropic_models(const std::vector<ModelCard>& cards, const ModelAliases& aliases);
// One of them; nullopt: there is no such name.
std::optional<std::string> anthropic_model(const std::vector<ModelCard>& cards,
                                           const ModelAliases& aliases, std::string_view name);

}  // namespace plumb::wire
