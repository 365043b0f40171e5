#include "server/http.h"

namespace plumb {
namespace {

class WholeAnswer final : public Answer {
 public:
  WholeAnswer(HttpHead head, std::string body) : head_(std::move(head)), body_(std::move(body)) {}
  const HttpHead* head() const override { return &head_; }
  std::int64_t length() const override { return static_cast<std::int64_t>(body_.size()); }
  State pull(std::string& out) override {
    out += body_;
    return State::kEnd;
  }
  void set_waker(std::function<void()>) override {}
  void keep_alive(std::string&) override {}

 private:
  HttpHead head_;
  std::string body_;
};

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::unique_ptr<Answer> whole_answer(HttpHead head, std::string body) {
  return std::make_unique<WholeAnswer>(std::move(head), std::move(body));
}

}  // namespace plumb
