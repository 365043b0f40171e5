// The models a server has, as OpenAI's clients list them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/provider.h"
#include "gateway/wire/model_names.h"

namespace plumb::wire {

// Another name of a model: alias, name.
// GET /v1/models: every model, then every alias of one that is there. `created`: seconds since
// 1970. Beside OpenAI's keys each entry has max_model_len and root, as vLLM's do.
std::string openai_model_list(const std::vector<ModelCard>& models, const ModelAliases& aliases,
                              std::int64_t created);

// GET /v1/models/{id}; nullopt: there is neither such a model nor such an alias.
std::optional<std::string> openai_model(const std::vector<ModelCard>& models,
                                        const ModelAliases& aliases, std::int64_t created,
                                        std::string_view id);

}  // namespace plumb::wire
