#include "gateway/wire/openai_models.h"

#include "base/json.h"

namespace plumb::wire {
namespace {

Json entry(const std::string& id, const ModelCard& model, std::int64_t created) {
  return Json::object({{"id", Json::string(id)},
                       {"object", Json::string("model")},
                       {"created", Json::integer(created)},
                       {"owned_by", Json::string("plumb")},
                       {"root", Json::string(model.name)},
                       {"max_model_len", Json::integer(model.context)}});
}

std::vector<Json> entries(const std::vector<ModelCard>& models, const ModelAliases& aliases,
                          std::int64_t created) {
  std::vector<Json> out;
  for (const auto& [name, card] : named_models(models, aliases)) {
    out.push_back(entry(name, *card, created));
  }
  return out;
}

}  // namespace

std::string openai_model_list(const std::vector<ModelCard>& models, const ModelAliases& aliases,
                              std::int64_t created) {
  return Json::object({{"object", Json::string("list")},
                       {"data", Json::array(entries(models, aliases, created))}})
      .dump();
}

std::optional<std::string> openai_model(const std::vector<ModelCard>& models,
                                        const ModelAliases& aliases, std::int64_t created,
                                        std::string_view id) {
  for (const Json& model : entries(models, aliases, created)) {
    if (model.find("id")->text() == id) return model.dump();
  }
  return std::nullopt;
}

}  // namespace plumb::wire
