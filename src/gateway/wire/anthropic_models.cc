#include "gateway/wire/anthropic_models.h"

#include "base/json.h"

namespace plumb::wire {
namespace {

// A model's date of release is not known here, for which the API has the beginning of time. What
// the model can do is not known either: no capabilities.
Json model_json(const std::string& id, const ModelCard& card) {
  const Json context = card.context > 0 ? Json::integer(card.context) : Json();
  return Json::object({{"type", Json::string("model")},
                       {"id", Json::string(id)},
                       {"display_name", Json::string(card.name)},
                       {"created_at", Json::string("1970-01-01T00:00:00Z")},
                       {"lifecycle", Json::string("active")},
                       {"max_input_tokens", context},
                       {"max_tokens", context},
                       {"capabilities", Json()}});
}

std::vector<Json> list(const std::vector<ModelCard>& cards, const ModelAliases& aliases) {
  std::vector<Json> models;
  for (const auto& [name, card] : named_models(cards, aliases)) {
    models.push_back(model_json(name, *card));
  }
  return models;
}

Json id_of(const Json& model) { return *model.find("id"); }

}  // namespace

std::string anthropic_models(const std::vector<ModelCard>& cards, const ModelAliases& aliases) {
  std::vector<Json> models = list(cards, aliases);
  const Json first = models.empty() ? Json() : id_of(models.front());
  const Json last = models.empty() ? Json() : id_of(models.back());
  return Json::object({{"data", Json::array(std::move(models))},
                       {"has_more", Json::boolean(false)},
                       {"first_id", first},
                       {"last_id", last}})
      .dump();
}

std::optional<std::string> anthropic_model(const std::vector<ModelCard>& cards,
                                           const ModelAliases& aliases, std::string_view name) {
  for (const Json& model : list(cards, aliases)) {
    if (id_of(model).text() == name) return model.dump();
  }
  return std::nullopt;
}

}  // namespace plumb::wire
