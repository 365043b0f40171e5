// The names under which clients find models: their own, then the aliases.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "gateway/provider.h"

namespace plumb::wire {

// (alias, name of a model)
using ModelAliases = std::vector<std::pair<std::string, std::string>>;

struct NamedModel {
  std::string name;
  const ModelCard* card = nullptr;  // borrowed from the list
};

// Every model under its own name, then every alias of one that there is.
std::vector<NamedModel> named_models(const std::vector<ModelCard>& models,
                                     const ModelAliases& aliases);

}  // namespace plumb::wire
