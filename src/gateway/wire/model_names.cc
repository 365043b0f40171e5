#include "gateway/wire/model_names.h"

#include <algorithm>

namespace plumb::wire {

std::vector<NamedModel> named_models(const std::vector<ModelCard>& models,
                                     const ModelAliases& aliases) {
  std::vector<NamedModel> out;
  for (const ModelCard& model : models) out.push_back({model.name, &model});
  for (const auto& [alias, target] : aliases) {
    const auto model =
        std::find_if(models.begin(), models.end(),
                     [&name = target](const ModelCard& card) { return card.name == name; });
    if (model != models.end()) out.push_back({alias, &*model});
  }
  return out;
}

}  // namespace plumb::wire
