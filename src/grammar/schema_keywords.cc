#include "grammar/schema_keywords.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/strings.h"
#include "grammar/numbers.h"

namespace plumb::grammar {
namespace {

enum class Shape : std::uint8_t {
  kAny,
  kBool,
  kNumber,
  kCount,
  kText,
  kList,
  kTexts,
  kSchema,
  kSchemas,
  kNamed,
  kNot
};
struct Keyword {
  std::string_view name;
  Shape shape;            // kNot: not offered
  std::string_view type;  // that it speaks of; empty: any
};

constexpr Keyword kKeywords[] = {
    {"type", Shape::kAny, ""},
    {"enum", Shape::kList, ""},
    {"const", Shape::kAny, ""},
    {"$ref", Shape::kText, ""},
    {"anyOf", Shape::kSchemas, ""},
    {"oneOf", Shape::kSchemas, ""},
    {"allOf", Shape::kSchemas, ""},
    {"properties", Shape::kNamed, "object"},
    {"required", Shape::kTexts, "object"},
    {"additionalProperties", Shape::kSchema, "object"},
    {"patternProperties", Shape::kNamed, "object"},
    {"propertyNames", Shape::kSchema, "object"},
    {"minProperties", Shape::kCount, "object"},
    {"maxProperties", Shape::kCount, "object"},
    {"items", Shape::kSchema, "array"},
    {"prefixItems", Shape::kSchemas, "array"},
    {"minItems", Shape::kCount, "array"},
    {"maxItems", Shape::kCount, "array"},
    {"uniqueItems", Shape::kBool, "array"},
    {"minLength", Shape::kCount, "string"},
    {"maxLength", Shape::kCount, "string"},
    {"pattern", Shape::kText, "string"},
    {"format", Shape::kText, "string"},
    {"minimum", Shape::kNumber, "number"},
    {"maximum", Shape::kNumber, "number"},
    {"exclusiveMinimum", Shape::kNumber, "number"},
    {"exclusiveMaximum", Shape::kNumber, "number"},
    {"multipleOf", Shape::kNumber, "number"},
    {"not", Shape::kNot, ""},
    {"if", Shape::kNot, ""},
    {"then", Shape::kNot, ""},
    {"else", Shape::kNot, ""},
    {"contains", Shape::kNot, "array"},
    {"minContains", Shape::kNot, "array"},
    {"maxContains", Shape::kNot, "array"},
    {"additionalItems", Shape::kNot, "array"},
    {"unevaluatedItems", Shape::kNot, "array"},
    {"unevaluatedProperties", Shape::kNot, "object"},
    {"dependentRequired", Shape::kNot, "object"},
    {"dependentSchemas", Shape::kNot, "object"},
    {"dependencies", Shape::kNot, "object"},
    {"$dynamicRef", Shape::kNot, ""},
    {"$recursiveRef", Shape::kNot, ""},
};
constexpr std::array<std::string_view, 7> kTypes = {"string", "number", "integer", "boolean",
                                                    "null",   "object", "array"};

const Keyword* find_keyword(std::string_view name) {
  const auto* found = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                   [name](const Keyword& keyword) { return keyword.name == name; });
  return found == std::end(kKeywords) ? nullptr : found;
}

bool is_schema(const Json& value) { return value.is_object() || value.is_bool(); }

template <class Test>
bool all_items(const Json& value, Test test) {
  return value.is_array() && std::all_of(value.items().begin(), value.items().end(), test);
}

// What a keyword's value must be, where it is not.
std::optional<std::string_view> wrong_shape(Shape shape, const Json& value) {
  const auto unless = [](bool good, std::string_view expected) {
    return good ? std::nullopt : std::optional<std::string_view>(expected);
  };
  switch (shape) {
    case Shape::kAny:
    case Shape::kNot:
      return std::nullopt;
    case Shape::kBool:
      return unless(value.is_bool(), "true or false");
    case Shape::kNumber:
      return unless(value.is_number(), "a number");
    case Shape::kCount:
      return unless(value.as_int().value_or(-1) >= 0, "a whole number from 0");
    case Shape::kText:
      return unless(value.is_string(), "a string");
    case Shape::kList:
      return unless(value.is_array() && !value.items().empty(), "an array that is not empty");
    case Shape::kTexts:
      return unless(all_items(value, [](const Json& item) { return item.is_string(); }),
                    "an array of strings");
    case Shape::kSchema:
      return unless(is_schema(value), "a schema (an object, true or false)");
    case Shape::kSchemas:
      return unless(all_items(value, is_schema) && !value.items().empty(),
                    "an array of schemas that is not empty");
    case Shape::kNamed:
      return unless(value.is_object() &&
                        std::all_of(value.members().begin(), value.members().end(),
                                    [](const Json::Member& m) { return is_schema(m.second); }),
                    "an object of schemas");
  }
  return std::nullopt;
}

std::string shown(const Json& value) {
  constexpr std::size_t kMost = 60;
  const std::string text = value.dump();
  return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

// The types that both lists hold; "number" holds "integer".
std::vector<std::string> common_types(const std::vector<std::string>& a,
                                      const std::vector<std::string>& b) {
  std::vector<std::string> out;
  for (const std::string& type : a) {
    if (has(b, type) || (type == "integer" && has(b, "number"))) out.push_back(type);
    if (type == "number" && !has(b, "number") && has(b, "integer")) out.push_back("integer");
  }
  return out;
}

Json texts(const std::vector<std::string>& values) {
  std::vector<Json> items;
  for (const std::string& value : values) items.push_back(Json::string(value));
  return Json::array(std::move(items));
}

std::optional<std::vector<std::string>> named_types(const Json& node) {
  const Json* type = node.find("type");
  if (type && type->is_string()) return std::vector<std::string>{type->text()};
  if (!type || !type->is_array()) return std::nullopt;
  std::vector<std::string> out;
  for (const Json& item : type->items()) out.push_back(item.text());
  return out;
}

// --- merging ---

Json both(Json a, const Json& b) {
  if (same_value(a, b)) return a;
  return Json::object({{"allOf", Json::array({std::move(a), b})}});
}

// Merges one keyword that both have.
Result<Json> merge_values(const std::string& name, const Json& a, const Json& b,
                          const std::string& path) {
  const auto larger = [&](bool want) {
    const auto x = Decimal::parse(a.text()), y = Decimal::parse(b.text());
    return (x && y && compare(*x, *y) >= 0) == want ? a : b;
  };
  if (same_value(a, b)) return a;
  if (name == "type") {
    const auto list = [](const Json& value) {
      return *named_types(Json::object({{"type", value}}));
    };
    return texts(common_types(list(a), list(b)));
  }
  if (name == "enum") {
    std::vector<Json> items;
    for (const Json& item : a.items()) {
      if (std::any_of(b.items().begin(), b.items().end(),
                      [&](const Json& other) { return same_value(item, other); }))
        items.push_back(item);
    }
    return Json::array(std::move(items));
  }
  if (name.starts_with("min") || name == "exclusiveMinimum") return larger(true);
  if (name.starts_with("max") || name == "exclusiveMaximum") return larger(false);
  if (name == "required") {
    std::vector<Json> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return Json::array(std::move(items));
  }
  if (name == "items" || name == "additionalProperties" || name == "propertyNames") {
    for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
      if (one->is_bool()) return *one->as_bool() ? *other : *one;
    }
    return both(a, b);
  }
  if (name == "allOf") {
    std::vector<Json> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return Json::array(std::move(items));
  }
  if (name == "uniqueItems") return Json::boolean(true);
  const Keyword* keyword = find_keyword(name);
  if (!keyword) return a;  // an annotation
  return Error{Code::kUnsupported,
               str(path, " has two different values of ", name,
                   " to be kept together, which is not offered; expected one of them.")};
}

// A property that only one side lists must also be what the other says of the rest.
void add_properties(const Json& from, const Json& other, Json& out) {
  const Json* mine = from.find("properties");
  if (!mine) return;
  const Json* theirs = other.find("properties");
  const Json* rest = other.find("additionalProperties");
  for (const auto& [name, schema] : mine->members()) {
    const Json* same = theirs ? theirs->find(name) : nullptr;
    if (out.find(name)) continue;
    if (same) {
      out.set(name, both(schema, *same));
    } else if (is_false(rest)) {
      out.set(name, *rest);
    } else {
      out.set(name, rest && rest->is_object() ? both(schema, *rest) : schema);
    }
  }
}

// Keywords of which each speaks of what its neighbours leave over, so that they cannot be put
// together one by one where the first is among them.
constexpr std::array<std::string_view, 2> kOfItems = {"prefixItems", "items"};
constexpr std::array<std::string_view, 3> kOfMembers = {"patternProperties", "additionalProperties",
                                                        "properties"};

template <class Family>
bool depends_on_neighbours(const Json& a, const Json& b, const Family& family) {
  const auto says = [&](const Json& node) {
    return std::any_of(family.begin(), family.end(),
                       [&](std::string_view name) { return node.find(name) != nullptr; });
  };
  return (a.find(family[0]) || b.find(family[0])) && says(a) && says(b);
}

}  // namespace

std::string type_name(const Json& value) {
  switch (value.kind()) {
    case Json::Kind::kNull:
      return "null";
    case Json::Kind::kBool:
      return "boolean";
    case Json::Kind::kNumber:
      return value.as_int() ? "integer" : "number";
    case Json::Kind::kString:
      return "string";
    case Json::Kind::kArray:
      return "array";
    case Json::Kind::kObject:
      break;
  }
  return "object";
}

bool is_false(const Json* schema) { return schema && schema->as_bool() == false; }

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool same_value(const Json& a, const Json& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is_number()) {
    const auto x = Decimal::parse(a.text()), y = Decimal::parse(b.text());
    return x && y ? compare(*x, *y) == 0 : a.text() == b.text();
  }
  if (a.is_array()) {
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(),
                      same_value);
  }
  if (!a.is_object()) return a.dump() == b.dump();
  return a.members().size() == b.members().size() &&
         std::all_of(a.members().begin(), a.members().end(), [&](const Json::Member& member) {
           const Json* other = b.find(member.first);
           return other && same_value(member.second, *other);
         });
}

Status check_keywords(const Json& node, const std::string& path) {
  for (const auto& [name, value] : node.members()) {
    const Keyword* keyword = find_keyword(name);
    if (!keyword) continue;
    const bool offered = keyword->shape != Shape::kNot &&
                         !(name == "uniqueItems" && value.as_bool().value_or(false));
    if (!offered) {
      return Error{
          Code::kUnsupported,
          str(path, ".", name, " is not offered: no grammar here can hold a reply to it.")};
    }
    if (const auto expected = wrong_shape(keyword->shape, value)) {
      return Error{Code::kInvalid,
                   str(path, ".", name, " is ", shown(value), ", expected ", *expected, ".")};
    }
  }
  const Json* type = node.find("type");
  if (!type) return {};
  const auto known = [](const Json& item) {
    return item.is_string() && std::find(kTypes.begin(), kTypes.end(), item.text()) != kTypes.end();
  };
  if (known(*type) || (all_items(*type, known) && !type->items().empty())) return {};
  return Error{Code::kInvalid,
               str(path, ".type is ", shown(*type), ", expected string, number, integer, boolean, ",
                   "null, object or array, or an array of these.")};
}

Result<std::vector<std::string>> types_of(const Json& node, const std::string& path) {
  std::optional<std::vector<std::string>> types = named_types(node);
  if (types) {
    if (types->empty()) return Error{Code::kInvalid, str(path, " lets no type through.")};
    return *std::move(types);
  }
  std::vector<std::string> spoken_of;
  for (const auto& [name, value] : node.members()) {
    const Keyword* keyword = find_keyword(name);
    if (!keyword || keyword->type.empty()) continue;
    const std::string type(keyword->type);
    if (std::find(spoken_of.begin(), spoken_of.end(), type) == spoken_of.end())
      spoken_of.push_back(type);
  }
  return spoken_of;
}

bool says_more_than(const Json& node, std::string_view but) {
  return std::any_of(node.members().begin(), node.members().end(),
                     [but](const Json::Member& member) {
                       return member.first != but && find_keyword(member.first) != nullptr;
                     });
}

Json without(const Json& node, std::string_view keyword) {
  std::vector<Json::Member> members;
  for (const Json::Member& member : node.members()) {
    if (member.first != keyword) members.push_back(member);
  }
  return Json::object(std::move(members));
}

Result<Json> merged(const Json& a, const Json& b, const std::string& path) {
  for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    if (one->is_bool()) return *one->as_bool() ? *other : *one;
  }
  for (const bool members : {false, true}) {
    if (!(members ? depends_on_neighbours(a, b, kOfMembers)
                  : depends_on_neighbours(a, b, kOfItems)))
      continue;
    return Error{
        Code::kUnsupported,
        str(path,
            members ? " puts patternProperties and other properties"
                    : " puts prefixItems and other items",
            " together from several schemas, which is not offered; expected them in one.")};
  }
  Json out = a;
  for (const auto& [name, value] : b.members()) {
    const Json* mine = a.find(name);
    if (name == "properties") continue;
    if (!mine) {
      // Alternatives on one side only stay; two lists of them would have to be multiplied out.
      out.set(name, value);
      continue;
    }
    PLUMB_TRY(value_of_both, merge_values(name, *mine, value, path));
    out.set(name, std::move(value_of_both));
  }
  if (a.find("properties") || b.find("properties")) {
    Json properties = Json::object();
    add_properties(a, b, properties);
    add_properties(b, a, properties);
    out.set("properties", std::move(properties));
  }
  return out;
}

bool exclude_each_other(const Json& a, const Json& b) {
  if (!a.is_object() || !b.is_object()) return false;
  const auto listed = [](const Json& node) -> std::optional<std::vector<Json>> {
    if (const Json* constant = node.find("const")) return std::vector<Json>{*constant};
    if (const Json* list = node.find("enum"); list && list->is_array()) return list->items();
    return std::nullopt;
  };
  const auto x = listed(a), y = listed(b);
  if (x && y) {
    return std::none_of(x->begin(), x->end(), [&](const Json& value) {
      return std::any_of(y->begin(), y->end(),
                         [&](const Json& other) { return same_value(value, other); });
    });
  }
  const auto types = [&](const Json& node, const std::optional<std::vector<Json>>& values) {
    if (!values) return named_types(node);
    std::vector<std::string> out;
    for (const Json& value : *values) out.push_back(type_name(value));
    return std::optional(std::move(out));
  };
  const auto s = types(a, x), t = types(b, y);
  if (s && t && common_types(*s, *t).empty() && common_types(*t, *s).empty()) return true;
  // A property that both need, and that cannot be the same in both.
  const Json *pa = a.find("properties"), *pb = b.find("properties");
  const Json *ra = a.find("required"), *rb = b.find("required");
  if (!pa || !pb || !ra || !rb) return false;
  const auto needs = [](const Json& required, const std::string& name) {
    return std::any_of(required.items().begin(), required.items().end(),
                       [&](const Json& item) { return item.is_string() && item.text() == name; });
  };
  return std::any_of(pa->members().begin(), pa->members().end(), [&](const Json::Member& member) {
    const Json* other = pb->find(member.first);
    return other && needs(*ra, member.first) && needs(*rb, member.first) &&
           exclude_each_other(member.second, *other);
  });
}

}  // namespace plumb::grammar
