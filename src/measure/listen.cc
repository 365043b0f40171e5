#include "measure/listen.h"

#include <algorithm>
#include <set>

namespace plumb::measure {

Listener::Listener(LanguageModel& model) : model_(model) {
  Tap tap;
  tap.stage = [this](std::string_view name) { stage(name); };
  tap.ids = [this](std::string_view name, int, Mat<const std::int32_t> value,
                   std::span<const std::int32_t>) {
    if (name != "experts") return;
    std::set<std::int32_t> met;
    for (int r = 0; r < value.rows; ++r) met.insert(value.row(r), value.row(r) + value.cols);
    experts_ += static_cast<double>(met.size());
    ++layers_;
  };
  model_.set_tap(std::move(tap));
}

Listener::~Listener() { model_.set_tap({}); }

double Listener::experts_met() const { return layers_ > 0 ? experts_ / layers_ : 0; }

void Listener::stage(std::string_view name) {
  const auto now = Clock::now();
  if (!current_.empty()) {
    const auto it = std::find_if(stages_.begin(), stages_.end(),
                                 [&](const auto& s) { return s.first == current_; });
    it->second += std::chrono::duration<double>(now - since_).count();
  }
  current_ = name;
  const bool known =
      std::any_of(stages_.begin(), stages_.end(), [&](const auto& s) { return s.first == name; });
  if (!name.empty() && !known) stages_.emplace_back(name, 0.0);
  since_ = Clock::now();
}

}  // namespace plumb::measure
