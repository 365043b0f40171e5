#include "minnow_score.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <vector>

namespace plumb {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

// The last run of digits, with its minus sign.
std::string last_integer(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t end = text.size();
  while (end > 0 && !digit(text[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && digit(text[begin - 1])) --begin;
  if (begin > 0 && begin < end && text[begin - 1] == '-') --begin;
  return std::string(text.substr(begin, end - begin));
}

// Equal values; objects whatever the order of their keys, numbers by value.
bool same(const Json& a, const Json& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is_number()) return a.as_double() == b.as_double();
  if (a.is_bool()) return a.as_bool() == b.as_bool();
  if (a.is_string()) return a.text() == b.text();
  if (a.is_array()) {
    return std::ranges::equal(a.items(), b.items(),
                              [](const Json& x, const Json& y) { return same(x, y); });
  }
  if (!a.is_object()) return true;
  if (a.members().size() != b.members().size()) return false;
  return std::ranges::all_of(a.members(), [&](const Json::Member& m) {
    const Json* other = b.find(m.first);
    return other != nullptr && same(m.second, *other);
  });
}

bool has_type(const Json& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return value.as_int().has_value();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

// The schema's required arguments are there, nothing else is, and each has its type.
bool fits(const Json& arguments, const Json& parameters) {
  const Json* properties = parameters.find("properties");
  if (!arguments.is_object() || properties == nullptr) return false;
  for (const auto& [key, value] : arguments.members()) {
    const Json* property = properties->find(key);
    if (property == nullptr || !has_type(value, property->find("type")->text())) return false;
  }
  const Json* required = parameters.find("required");
  return required == nullptr || std::ranges::all_of(required->items(), [&](const Json& key) {
           return arguments.find(key.text()) != nullptr;
         });
}

Verdict judge_call(const Json& prompt, const Json& reply, const Json& expected) {
  const Json* calls = reply.find("tool_calls");
  const Json* finish = reply.find("finish_reason");
  if (calls == nullptr || calls->items().size() != 1) return {};
  if (finish == nullptr || finish->text() != "tool_calls") return {};  // cut short: not delivered
  const Json& call = calls->items()[0];
  const std::string& name = call.find("name")->text();
  auto arguments = parse_json(call.find("arguments")->text(), "arguments");
  if (!arguments) return {};
  Verdict v;
  for (const Json& tool : prompt.find("tools")->items()) {
    const Json* function = tool.find("function");
    if (function->find("name")->text() == name)
      v.valid = fits(*arguments, *function->find("parameters"));
  }
  v.right = v.valid && name == expected.find("name")->text() &&
            same(*arguments, *expected.find("arguments"));
  return v;
}

}  // namespace

Verdict judge(const Json& prompt, const Json& reply) {
  const Json& check = *prompt.find("check");
  const std::string& kind = check.find("kind")->text();
  const Json& value = *check.find("value");
  const Json* text = reply.find("text");
  if (text == nullptr) return {};
  const std::string content = trimmed(text->text());
  if (kind == "tool_call") return judge_call(prompt, reply, value);
  Verdict v;
  if (kind == "json") {
    auto parsed = parse_json(content, "reply");
    // A repeated key is JSON by its grammar, but no answer: two readers would see different values.
    v.valid = parsed || parsed.error().message.find("is repeated") != std::string::npos;
    v.right = parsed && same(*parsed, value);
  } else if (kind == "number") {
    v.right = v.valid = last_integer(content) == (value.is_string() ? value.text() : value.dump());
  } else if (kind == "exact") {
    v.right = v.valid = content == value.text();
  }
  return v;
}

Json expand_fill(const Json& prompt) {
  const Json* fill = prompt.find("fill");
  if (fill == nullptr) return prompt;
  const std::int64_t count = *fill->find("count")->as_int();
  const std::int64_t multiplier = *fill->find("multiplier")->as_int();
  const std::int64_t offset = *fill->find("offset")->as_int();
  const std::vector<Json>& sentences = fill->find("sentences")->items();
  std::string text;
  const auto say = [&](const std::string& sentence) {
    if (!text.empty()) text += ' ';
    text += sentence;
  };
  for (std::int64_t i = 0; i < count; ++i) {
    for (const Json& fact : fill->find("facts")->items()) {
      if (*fact.items()[0].as_int() == i) say(fact.items()[1].text());
    }
    say(sentences[static_cast<std::size_t>((i * multiplier + offset) %
                                           static_cast<std::int64_t>(sentences.size()))]
            .text());
  }
  text += "\n" + fill->find("question")->text();
  Json out = Json::object();
  out.set("messages", Json::array({Json::object(
                          {{"role", Json::string("user")}, {"content", Json::string(text)}})}));
  for (const auto& [key, value] : prompt.members()) {
    if (key != "fill") out.set(key, value);
  }
  return out;
}

Interval wilson(int right, int total) {
  if (total == 0) return {0, 1};
  constexpr double z = 1.959964;
  const double n = total, p = right / n;
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

}  // namespace plumb
