#include "grammar/schema.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/strings.h"
#include "grammar/numbers.h"
#include "grammar/regex.h"
#include "grammar/schema_formats.h"
#include "grammar/schema_keywords.h"
#include "grammar/schema_reading.h"

namespace plumb::grammar {

Status SchemaCompiler::spend(const std::string& path) {
  constexpr int kMostWork = 20'000;
  if (++work_ <= kMostWork) return {};
  return Error{Code::kInvalid, str(path, ": the schema takes more than ", kMostWork,
                                   " steps to read; its references or combinations multiply.")};
}

ExprId SchemaCompiler::alt(std::vector<ExprId> ways) {
  return ways.empty() ? rules_.never() : rules_.alt(std::move(ways));
}

const Json& SchemaCompiler::keep(Json schema) {
  merged_.push_back(std::make_unique<Json>(std::move(schema)));
  return *merged_.back();
}

Result<ExprId> SchemaCompiler::value(const Json& node, const std::string& path) {
  return nested(node, path, 0);
}

Result<ExprId> SchemaCompiler::nested(const Json& node, const std::string& path, int depth) {
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
  return laid_out(node, path, depth);
}

Result<ExprId> SchemaCompiler::laid_out(const Json& node, const std::string& path, int depth) {
  Ways ways;
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
    PLUMB_TRY(body, laid_out(*next.node, next.path, 0));
    rules_.define(next.rule, body);
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
      const bool escaped = rest.starts_with("~0") || rest.starts_with("~1");
      if (escaped) rest.remove_prefix(1);
      key += !escaped ? rest.front() : rest.front() == '0' ? '~' : '/';
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
  PLUMB_TRY_STATUS(spend(path));
  if (depth > kMostSchemaDepth) {
    return Error{Code::kUnsupported, str("The schema is nested deeper than ", kMostSchemaDepth,
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
    Json whole = without(node, "allOf");
    for (const Json& part : all->items()) {
      PLUMB_TRY_STATUS(spend(path));
      PLUMB_TRY(other, without_reference(part, path));
      if (other.is_object()) PLUMB_TRY_STATUS(check_keywords(other, path + ".allOf"));
      PLUMB_TRY(joined, merged(whole, other, path + ".allOf"));
      whole = std::move(joined);
      if (whole.is_bool()) break;
    }
    return add(keep(std::move(whole)), path, strings, depth + 1, out);
  }
  for (const char* keyword : {"anyOf", "oneOf"}) {
    const Json* list = node.find(keyword);
    if (!list) continue;
    const std::vector<Json>& ways = list->items();
    if (std::string_view(keyword) == "oneOf") PLUMB_TRY_STATUS(check_one_of(ways, path));
    for (std::size_t i = 0; i < ways.size(); ++i) {
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
      PLUMB_TRY_STATUS(add(keep(std::move(joined)), where, strings, depth + 1, out));
    }
    return {};
  }
  return add_typed(node, path, strings, depth, out);
}

// A reference is replaced by what it names, as far as that is no circle.
Result<Json> SchemaCompiler::without_reference(Json node, const std::string& path) const {
  constexpr int kMostHops = 20;
  for (int hops = 0; node.is_object() && node.find("$ref"); ++hops) {
    if (!node.find("$ref")->is_string() || hops > kMostHops) {
      return Error{Code::kInvalid, str(path, ".allOf refers to itself, or to nothing.")};
    }
    PLUMB_TRY(found, target(node.find("$ref")->text(), path));
    PLUMB_TRY(joined, merged(*found, without(node, "$ref"), path));
    node = std::move(joined);
  }
  return node;
}

Status SchemaCompiler::check_one_of(std::vector<Json> ways, const std::string& path) const {
  for (Json& way : ways) {
    PLUMB_TRY(whole, without_reference(std::move(way), path));
    way = std::move(whole);
  }
  return check_exclusive(ways, path);
}

Status SchemaCompiler::add_reference(const Json& node, const std::string& path, Spelling strings,
                                     int depth, Ways& out) {
  PLUMB_TRY(found, target(node.find("$ref")->text(), path));
  if (!says_more_than(node, "$ref")) {
    return add(*found, path, strings, depth + 1, out);
  }
  PLUMB_TRY(joined, merged(*found, without(node, "$ref"), path));
  return add(keep(std::move(joined)), path, strings, depth + 1, out);
}

Status SchemaCompiler::add_listed(const std::vector<Json>& values, const Json& node,
                                  const std::string& path, Spelling strings, Ways& out) {
  const Json rest = without(without(without(node, "enum"), "const"), "type");
  if (says_more_than(rest, "")) {
    return Error{Code::kUnsupported,
                 str(path,
                     " has enum or const beside other demands, which is not offered; "
                     "expected the values that satisfy all of them.")};
  }
  PLUMB_TRY(types, types_of(without(without(node, "enum"), "const"), path));
  for (const Json& value : values) {
    const std::string type = type_name(value);
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
  const Json *constant = node.find("const"), *list = node.find("enum");
  if (constant) {
    const auto same = [&](const Json& item) { return same_value(item, *constant); };
    const bool listed = !list || std::any_of(list->items().begin(), list->items().end(), same);
    return listed ? add_listed({*constant}, node, path, strings, out) : Status();
  }
  if (list) return add_listed(list->items(), node, path, strings, out);
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
  const bool closed = is_false(items);
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

Result<ExprId> json_schema(JsonRules& json, const Json& root) {
  SchemaCompiler compiler(json, root);
  PLUMB_TRY(value, compiler.value(root, "$"));
  PLUMB_TRY_STATUS(compiler.finish());
  return value;
}

}  // namespace plumb::grammar
