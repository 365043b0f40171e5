#include "grammar/schema.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "base/strings.h"
#include "grammar/numbers.h"
#include "grammar/regex.h"
#include "grammar/schema_formats.h"
#include "grammar/schema_keywords.h"

namespace plumb::grammar {
namespace {

// Of schemas within schemas; what refers to itself is not nested.
constexpr int kMostDepth = 100;
constexpr int kMostLength = 20'000;  // of bounded strings and arrays

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> required_names(const Json& node) {
  std::vector<std::string> names;
  if (const Json* required = node.find("required")) {
    for (const Json& item : required->items()) {
      if (!has(names, item.text())) names.push_back(item.text());
    }
  }
  return names;
}

struct Counts {
  int min = 0, max = kUnbounded;
};
Result<Counts> counts(const Json& node, const std::string& path, const char* min, const char* max) {
  Counts out;
  const Json *low = node.find(min), *high = node.find(max);
  for (const auto& [name, value] : {std::pair(min, low), std::pair(max, high)}) {
    if (value && *value->as_int() > kMostLength && name == min) {
      return Error{Code::kUnsupported, str(path, ".", name, " is ", value->text(),
                                           ", expected at most ", kMostLength, ".")};
    }
  }
  if (low) out.min = static_cast<int>(*low->as_int());
  // Nobody asks for a limit that high to have it kept.
  if (high && *high->as_int() <= kMostLength) out.max = static_cast<int>(*high->as_int());
  if (high && *high->as_int() < out.min) {
    return Error{Code::kInvalid, str(path, " has ", min, " ", out.min, " above ", max, " ",
                                     high->text(), ": no value has both.")};
  }
  return out;
}

Error at(const std::string& path, const Error& error) {
  return {error.code, str(path, ": ", error.message)};
}

}  // namespace

ExprId SchemaCompiler::alt(std::vector<ExprId> ways) {
  return ways.empty() ? rules_.never() : rules_.alt(std::move(ways));
}

Result<ExprId> SchemaCompiler::value(const Json& node, const std::string& path) {
  return nested(node, path, 0);
}

Result<ExprId> SchemaCompiler::nested(const Json& node, const std::string& path, int depth) {
  Ways ways;
  // A reference as it is: what it names is laid out once.
  if (node.is_object() && node.find("$ref") && !says_more_than(node, "$ref")) {
    PLUMB_TRY_STATUS(check_keywords(node, path));
    const std::string& name = node.find("$ref")->text();
    PLUMB_TRY(found, target(name, path));
    const auto [entry, first] = referred_.try_emplace(name, -1);
    if (first) {
      entry->second = rules_.declare(str("the schema ", name));
      pending_.push_back({entry->second, found, name});
    }
    return rules_.call(entry->second);
  }
  const Status added = add(node, path, Spelling::kJson, depth, ways);
  if (!added && forgives(added.error())) return json_.any_value();
  PLUMB_TRY_STATUS(added);
  ways.strings.insert(ways.strings.end(), ways.others.begin(), ways.others.end());
  return alt(std::move(ways.strings));
}

Result<SchemaCompiler::Parts> SchemaCompiler::parts(const Json& node, const std::string& path) {
  Ways ways;
  const Status added = add(node, path, Spelling::kRaw, 0, ways);
  if (!added && forgives(added.error())) {
    static const Json kAnything = Json::boolean(true);
    ways = {};
    PLUMB_TRY_STATUS(add(kAnything, path, Spelling::kRaw, 0, ways));
  } else {
    PLUMB_TRY_STATUS(added);
  }
  Parts parts;
  if (!ways.strings.empty()) parts.raw_strings = alt(std::move(ways.strings));
  if (!ways.others.empty()) parts.others = alt(std::move(ways.others));
  return parts;
}

Status SchemaCompiler::finish() {
  while (!pending_.empty()) {
    const Pending next = std::move(pending_.back());
    pending_.pop_back();
    Ways ways;
    const Status added = add(*next.node, next.path, Spelling::kJson, 0, ways);
    if (!added && forgives(added.error())) {
      rules_.define(next.rule, json_.any_value());
      continue;
    }
    PLUMB_TRY_STATUS(added);
    ways.strings.insert(ways.strings.end(), ways.others.begin(), ways.others.end());
    rules_.define(next.rule, alt(std::move(ways.strings)));
  }
  return {};
}

Result<const Json*> SchemaCompiler::target(const std::string& reference,
                                           const std::string& path) const {
  const Error missing = {Code::kInvalid,
                         str(path, ".$ref is \"", reference.substr(0, 200),
                             "\", expected \"#\" or a part of this schema, as \"#/$defs/NAME\".")};
  if (!reference.starts_with('#')) return missing;
  const Json* node = &root_;
  std::string_view rest = std::string_view(reference).substr(1);
  while (!rest.empty()) {
    if (rest.front() != '/') return missing;
    rest.remove_prefix(1);
    std::string key;
    for (; !rest.empty() && rest.front() != '/'; rest.remove_prefix(1)) {
      key += rest.front();
      if (key.ends_with("~0")) key.replace(key.size() - 2, 2, "~");
      if (key.ends_with("~1")) key.replace(key.size() - 2, 2, "/");
    }
    if (node->is_array()) {
      const bool number =
          !key.empty() && key.size() < 7 && key.find_first_not_of("0123456789") == key.npos;
      const std::size_t index =
          number ? static_cast<std::size_t>(std::stoi(key)) : node->items().size();
      node = index < node->items().size() ? &node->items()[index] : nullptr;
    } else {
      node = node->find(key);
    }
    if (!node) return missing;
  }
  if (!node->is_object() && !node->is_bool()) return missing;
  return node;
}

Status SchemaCompiler::add(const Json& node, const std::string& path, Spelling strings, int depth,
                           Ways& out) {
  if (depth > kMostDepth) {
    return Error{Code::kUnsupported, str("The schema is nested deeper than ", kMostDepth,
                                         " levels, or refers to itself without end.")};
  }
  if (node.is_bool()) {
    if (!*node.as_bool()) return {};
    return add_typed(Json::object(), path, strings, depth, out);
  }
  if (!node.is_object()) {
    return Error{Code::kInvalid, str(path, " is no schema, expected an object, true or false.")};
  }
  PLUMB_TRY_STATUS(check_keywords(node, path));
  if (node.find("$ref")) return add_reference(node, path, strings, depth, out);
  if (const Json* all = node.find("allOf")) {
    merged_.push_back(std::make_unique<Json>(without(node, "allOf")));
    for (const Json& part : all->items()) {
      Json other = part;
      // A reference in there is replaced by what it names, as far as that is no circle.
      for (int hops = 0; other.is_object() && other.find("$ref"); ++hops) {
        PLUMB_TRY(found, target(other.find("$ref")->text(), path));
        if (hops > 20) return Error{Code::kInvalid, str(path, ".allOf refers to itself.")};
        PLUMB_TRY(joined, merged(*found, without(other, "$ref"), path));
        other = std::move(joined);
      }
      if (other.is_object()) PLUMB_TRY_STATUS(check_keywords(other, path + ".allOf"));
      PLUMB_TRY(joined, merged(*merged_.back(), other, path + ".allOf"));
      *merged_.back() = std::move(joined);
      if (merged_.back()->is_bool()) break;
    }
    return add(*merged_.back(), path, strings, depth + 1, out);
  }
  for (const char* keyword : {"anyOf", "oneOf"}) {
    const Json* list = node.find(keyword);
    if (!list) continue;
    const std::vector<Json>& ways = list->items();
    for (std::size_t i = 0; i < ways.size(); ++i) {
      for (std::size_t j = 0; std::string_view(keyword) == "oneOf" && j < i; ++j) {
        if (exclude_each_other(ways[i], ways[j])) continue;
        return Error{
            Code::kUnsupported,
            str(path, ".oneOf has two alternatives, ", j, " and ", i,
                ", that one value could satisfy at once as far as can be seen, which is not "
                "offered; expected anyOf, or alternatives with different types or constants.")};
      }
      const std::string where = str(path, ".", keyword, "[", i, "]");
      if (!says_more_than(node, keyword)) {
        // A reference among the alternatives of strings and others has to be looked into.
        if (strings == Spelling::kJson) {
          PLUMB_TRY(way, nested(ways[i], where, depth + 1));
          out.others.push_back(way);
        } else {
          PLUMB_TRY_STATUS(add(ways[i], where, strings, depth + 1, out));
        }
        continue;
      }
      PLUMB_TRY(joined, merged(without(node, keyword), ways[i], where));
      merged_.push_back(std::make_unique<Json>(std::move(joined)));
      PLUMB_TRY_STATUS(add(*merged_.back(), where, strings, depth + 1, out));
    }
    return {};
  }
  return add_typed(node, path, strings, depth, out);
}

Status SchemaCompiler::add_reference(const Json& node, const std::string& path, Spelling strings,
                                     int depth, Ways& out) {
  PLUMB_TRY(found, target(node.find("$ref")->text(), path));
  if (!says_more_than(node, "$ref")) {
    return add(*found, path, strings, depth + 1, out);
  }
  PLUMB_TRY(joined, merged(*found, without(node, "$ref"), path));
  merged_.push_back(std::make_unique<Json>(std::move(joined)));
  return add(*merged_.back(), path, strings, depth + 1, out);
}

Status SchemaCompiler::add_listed(const std::vector<Json>& values, const Json& node,
                                  const std::string& path, Spelling strings, Ways& out) {
  PLUMB_TRY(types, types_of(without(without(node, "enum"), "const"), path));
  for (const Json& value : values) {
    const bool whole = value.as_int().has_value();
    const std::string_view type = value.is_string()   ? "string"
                                  : value.is_number() ? (whole ? "integer" : "number")
                                  : value.is_bool()   ? "boolean"
                                  : value.is_null()   ? "null"
                                  : value.is_array()  ? "array"
                                                      : "object";
    const bool fits = types.empty() || !node.find("type") || has(types, type) ||
                      (type == "integer" && has(types, "number"));
    if (!fits) continue;
    if (value.is_string() && strings == Spelling::kRaw) {
      out.strings.push_back(rules_.literal(value.text()));
    } else {
      (value.is_string() ? out.strings : out.others).push_back(rules_.literal(value.dump()));
    }
  }
  return {};
}

Status SchemaCompiler::add_typed(const Json& node, const std::string& path, Spelling strings,
                                 int depth, Ways& out) {
  if (const Json* constant = node.find("const"))
    return add_listed({*constant}, node, path, strings, out);
  if (const Json* list = node.find("enum"))
    return add_listed(list->items(), node, path, strings, out);
  PLUMB_TRY(types, types_of(node, path));
  const bool any = types.empty();
  if (any || has(types, "string")) PLUMB_TRY_STATUS(add_string(node, path, strings, out));
  if (any || has(types, "number")) {
    PLUMB_TRY_STATUS(add_number(node, path, false, out));
  } else if (has(types, "integer")) {
    PLUMB_TRY_STATUS(add_number(node, path, true, out));
  }
  if (any || has(types, "boolean")) out.others.push_back(json_.boolean());
  if (any || has(types, "null")) out.others.push_back(json_.null());
  if (any || has(types, "array")) PLUMB_TRY_STATUS(add_array(node, path, depth, out));
  if (any || has(types, "object")) PLUMB_TRY_STATUS(add_object(node, path, depth, out));
  return {};
}

Status SchemaCompiler::add_string(const Json& node, const std::string& path, Spelling spelling,
                                  Ways& out) {
  PLUMB_TRY(length, counts(node, path, "minLength", "maxLength"));
  const Json* pattern = node.find("pattern");
  const Json* format = node.find("format");
  std::string_view regular = pattern ? std::string_view(pattern->text()) : std::string_view();
  const std::string_view of_format = format ? format_pattern(format->text()) : std::string_view();
  const bool bounded = node.find("minLength") || node.find("maxLength");
  if ((pattern || !of_format.empty()) && bounded) {
    return Error{Code::kUnsupported,
                 str(path, " has ", pattern ? "pattern" : "format",
                     " beside minLength or maxLength, which is "
                     "not offered; expected the length in the pattern, as {3,8}.")};
  }
  if (pattern && !of_format.empty()) {
    return Error{Code::kUnsupported,
                 str(path, " has pattern beside format, expected one of them.")};
  }
  if (!pattern && of_format.empty()) {
    out.strings.push_back(json_.string(spelling, length.min, length.max));
    return {};
  }
  if (!pattern) regular = of_format;
  auto body = regex(rules_, regular, {spelling, pattern != nullptr});
  if (!body) return at(path + (pattern ? ".pattern" : ".format"), body.error());
  if (spelling == Spelling::kRaw) {
    out.strings.push_back(*body);
  } else {
    out.strings.push_back(rules_.seq({rules_.byte('"'), *body, rules_.byte('"')}));
  }
  return {};
}

Status SchemaCompiler::add_number(const Json& node, const std::string& path, bool integer,
                                  Ways& out) {
  Bounds bounds;
  const auto tighten = [&](const char* name, bool low, bool open) -> Status {
    const Json* value = node.find(name);
    if (!value) return {};
    const auto decimal = Decimal::parse(value->text());
    if (!decimal || decimal->whole.size() > 30) {
      return Error{Code::kUnsupported, str(path, ".", name, " is ", value->text(),
                                           ", expected a number of at most 30 digits.")};
    }
    std::optional<Bound>& bound = low ? bounds.low : bounds.high;
    const int order = bound ? compare(*decimal, bound->value) : 0;
    if (!bound || (low ? order > 0 : order < 0) || (order == 0 && open))
      bound = Bound{*decimal, open};
    return {};
  };
  PLUMB_TRY_STATUS(tighten("minimum", true, false));
  PLUMB_TRY_STATUS(tighten("exclusiveMinimum", true, true));
  PLUMB_TRY_STATUS(tighten("maximum", false, false));
  PLUMB_TRY_STATUS(tighten("exclusiveMaximum", false, true));
  std::int64_t multiple = 1;
  if (const Json* of = node.find("multipleOf")) {
    multiple = of->as_int().value_or(0);
    if (multiple < 1) {
      return Error{Code::kUnsupported, str(path, ".multipleOf is ", of->text(),
                                           ", expected a whole number from 1 on.")};
    }
    integer = true;
  }
  if (!bounds.low && !bounds.high && multiple == 1) {
    out.others.push_back(integer ? json_.any_integer() : json_.any_number());
    return {};
  }
  auto expr = integer ? integers(rules_, bounds, multiple) : numbers(rules_, bounds);
  if (!expr) return at(path, expr.error());
  out.others.push_back(*expr);
  return {};
}

Status SchemaCompiler::add_array(const Json& node, const std::string& path, int depth, Ways& out) {
  PLUMB_TRY(length, counts(node, path, "minItems", "maxItems"));
  const Json* prefix = node.find("prefixItems");
  const Json* items = node.find("items");
  const bool closed = items && items->is_bool() && !*items->as_bool();
  ExprId item = -1;
  if (!closed) {
    if (items && items->is_object()) {
      PLUMB_TRY(inner, nested(*items, path + ".items", depth + 1));
      item = rules_.call(rules_.rule("an element", inner));
    } else {
      item = json_.any_value();
    }
  }
  if (!prefix) {
    if (closed && length.min > 0)
      return Error{Code::kInvalid, str(path, " wants items and lets none through.")};
    out.others.push_back(closed ? json_.array(rules_.never(), 0, 0)
                                : json_.array(item, length.min, length.max));
    return {};
  }
  // All of the prefix, then what may follow it.
  std::vector<ExprId> parts = {rules_.byte('['), json_.space()};
  const auto listed = static_cast<int>(prefix->items().size());
  if (length.max != kUnbounded && length.max < listed) {
    return Error{Code::kUnsupported,
                 str(path, ".maxItems is below the number of prefixItems, which is not offered.")};
  }
  for (int i = 0; i < listed; ++i) {
    if (i > 0) parts.insert(parts.end(), {rules_.byte(','), json_.space()});
    PLUMB_TRY(inner, nested(prefix->items()[static_cast<std::size_t>(i)],
                            str(path, ".prefixItems[", i, "]"), depth + 1));
    parts.push_back(inner);
  }
  const int more_min = std::max(length.min - listed, 0);
  if (closed && more_min > 0)
    return Error{Code::kInvalid, str(path, " wants more items than it lets through.")};
  // Without a word about others, arrays end with the prefix unless more are wanted.
  const bool open = !closed && (items || more_min > 0);
  if (open) {
    const int more_max = length.max == kUnbounded ? kUnbounded : length.max - listed;
    parts.push_back(
        rules_.repeat(rules_.seq({rules_.byte(','), json_.space(), item}), more_min, more_max));
  }
  parts.insert(parts.end(), {json_.space(), rules_.byte(']')});
  out.others.push_back(rules_.seq(std::move(parts)));
  return {};
}

// A member that is not listed; -1: there is none.
Result<ExprId> SchemaCompiler::free_member(const Json& node, const std::string& path, int depth,
                                           const std::vector<std::string>& but) {
  const Json* rest = node.find("additionalProperties");
  const Json* patterns = node.find("patternProperties");
  const Json* names = node.find("propertyNames");
  const bool closed = rest && rest->is_bool() && !*rest->as_bool();
  if (patterns && !patterns->members().empty()) {
    if (patterns->members().size() > 1 || !closed || !but.empty() || names) {
      return Error{Code::kUnsupported,
                   str(path,
                       ".patternProperties is offered with one pattern, additionalProperties "
                       "false and neither properties nor propertyNames beside it.")};
    }
    const auto& [pattern, schema] = patterns->members().front();
    auto key = regex(rules_, pattern, {Spelling::kJson, true});
    if (!key) return at(path + ".patternProperties", key.error());
    PLUMB_TRY(value, nested(schema, path + ".patternProperties", depth + 1));
    return json_.member(rules_.seq({rules_.byte('"'), *key, rules_.byte('"')}), value);
  }
  if (closed) return ExprId{-1};
  if (!rest && !but.empty()) return ExprId{-1};
  ExprId key = -1;
  if (names && !but.empty()) {
    return Error{Code::kUnsupported, str(path, ".propertyNames beside properties is not offered.")};
  }
  if (names) {
    Ways ways;
    PLUMB_TRY_STATUS(add(*names, path + ".propertyNames", Spelling::kJson, depth + 1, ways));
    key = alt(std::move(ways.strings));
  } else {
    key = but.empty() ? json_.string(Spelling::kJson) : json_.string_but(but);
  }
  if (rest && rest->is_object()) {
    PLUMB_TRY(value, nested(*rest, path + ".additionalProperties", depth + 1));
    return json_.member(key, value);
  }
  return json_.member(key, json_.any_value());
}

Status SchemaCompiler::add_object(const Json& node, const std::string& path, int depth, Ways& out) {
  PLUMB_TRY(size, counts(node, path, "minProperties", "maxProperties"));
  const Json* properties = node.find("properties");
  const bool lists =
      (properties && !properties->members().empty()) || !required_names(node).empty();
  if (!lists) {
    PLUMB_TRY(member, free_member(node, path, depth, {}));
    if (member < 0 && size.min > 0)
      return Error{Code::kInvalid, str(path, " wants properties and lets none through.")};
    out.others.push_back(member < 0 ? json_.object(rules_.never(), 0, 0)
                                    : json_.object(member, size.min, size.max));
    return {};
  }
  if (node.find("minProperties") || node.find("maxProperties")) {
    return Error{Code::kUnsupported,
                 str(path, ".", node.find("minProperties") ? "minProperties" : "maxProperties",
                     " beside properties is not offered.")};
  }
  PLUMB_TRY(members, listed_members(node, path, depth));
  out.others.push_back(rules_.seq({rules_.byte('{'), json_.space(), members}));
  return {};
}

Result<SchemaCompiler::Members> SchemaCompiler::members(const Json& node,
                                                        const std::string& path) const {
  static const Json kAnything = Json::boolean(true);
  Members out;
  const std::vector<std::string> required = required_names(node);
  if (const Json* properties = node.find("properties")) {
    for (const auto& [name, schema] : properties->members()) {
      const bool nothing = schema.is_bool() && !*schema.as_bool();
      const bool needed = has(required, name);
      if (!nothing || needed) out.listed.push_back({name, &schema, needed});
      out.names.push_back(name);
    }
  }
  const Json* rest = node.find("additionalProperties");
  const bool closed = rest && rest->is_bool() && !*rest->as_bool();
  for (const std::string& name : required) {
    if (has(out.names, name)) continue;
    if (closed) {
      return Error{Code::kInvalid,
                   str(path, ".required names \"", name.substr(0, 200),
                       "\", which properties does not list and additionalProperties forbids.")};
    }
    out.listed.push_back({name, rest ? rest : &kAnything, true});
    out.names.push_back(name);
  }
  if (rest ? !closed : out.names.empty()) out.rest = rest ? rest : &kAnything;
  return out;
}

ExprId SchemaCompiler::chain(const std::vector<Link>& links, ExprId separator,
                             const ExprId (&end)[2]) {
  // From the end to the beginning: what may follow once [no, some] members are written.
  ExprId next[2];
  for (int i = 0; i < 2; ++i) next[i] = rules_.call(rules_.rule("the end of an object", end[i]));
  for (std::size_t i = links.size(); i-- > 0;) {
    const Link& link = links[i];
    const ExprId member = rules_.call(rules_.rule("the property " + link.name, link.member));
    ExprId now[2] = {rules_.seq({member, next[1]}), rules_.seq({separator, member, next[1]})};
    for (int before = 0; before < 2; ++before) {
      if (!link.needed) now[before] = rules_.alt({now[before], next[before]});
      now[before] = rules_.call(rules_.rule("an object from " + link.name, now[before]));
    }
    std::copy(now, now + 2, next);
  }
  return next[0];
}

Result<ExprId> SchemaCompiler::listed_members(const Json& node, const std::string& path,
                                              int depth) {
  PLUMB_TRY(all, members(node, path));
  const ExprId comma = rules_.seq({rules_.byte(','), json_.space()});
  const ExprId close = rules_.seq({json_.space(), rules_.byte('}')});
  PLUMB_TRY(other, free_member(node, path, depth, all.names));
  ExprId end[2] = {rules_.byte('}'), close};
  if (other >= 0) {
    const ExprId one = rules_.call(rules_.rule("another property", other));
    const ExprId others = rules_.seq({one, rules_.repeat(rules_.seq({comma, one}), 0, kUnbounded)});
    end[0] = rules_.alt({end[0], rules_.seq({others, close})});
    end[1] = rules_.alt({close, rules_.seq({comma, others, close})});
  }
  std::vector<Link> links;
  for (const auto& [name, schema, needed] : all.listed) {
    PLUMB_TRY(value, nested(*schema, str(path, ".properties.", name), depth + 1));
    links.push_back({name, json_.member(rules_.literal(json_quote(name)), value), needed});
  }
  return chain(links, comma, end);
}

Result<std::vector<SchemaCompiler::Object>> SchemaCompiler::objects(const Json& node,
                                                                    const std::string& path,
                                                                    int depth) {
  std::vector<Object> out;
  if (node.is_bool()) {
    static const Json kAnything = Json::object();
    if (*node.as_bool()) out.push_back({&kAnything, path});
    return out;
  }
  if (depth > kMostDepth || !node.is_object()) {
    return Error{Code::kInvalid, str(path, " is no schema of an object.")};
  }
  const Status known = check_keywords(node, path);
  if (!known && !forgives(known.error())) return known.error();
  const Json* list = nullptr;
  std::string_view keyword;
  for (const std::string_view name : {"$ref", "allOf", "anyOf", "oneOf"}) {
    const Json* found = node.find(name);
    if (!found || list) continue;
    list = found;
    keyword = name;
  }
  if (!list) {
    PLUMB_TRY(types, types_of(node, path));
    if (types.empty() || has(types, "object")) out.push_back({&node, path});
    return out;
  }
  const Json rest = without(node, keyword);
  std::vector<Json> ways;
  if (keyword == "$ref") {
    PLUMB_TRY(found, target(list->text(), path));
    ways.push_back(*found);
  } else if (keyword == "allOf") {
    Json joined = Json::boolean(true);
    for (const Json& part : list->items()) {
      PLUMB_TRY(more, merged(joined, part, path));
      joined = std::move(more);
    }
    ways.push_back(std::move(joined));
  } else {
    ways = list->items();
  }
  for (const Json& way : ways) {
    PLUMB_TRY(joined, merged(rest, way, path));
    merged_.push_back(std::make_unique<Json>(std::move(joined)));
    PLUMB_TRY(found, objects(*merged_.back(), path, depth + 1));
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

Result<ExprId> json_schema(JsonRules& json, const Json& root) {
  SchemaCompiler compiler(json, root);
  PLUMB_TRY(value, compiler.value(root, "$"));
  PLUMB_TRY_STATUS(compiler.finish());
  return value;
}

}  // namespace plumb::grammar
