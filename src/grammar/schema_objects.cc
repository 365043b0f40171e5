// The schemas of objects: their members, listed and free.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/strings.h"
#include "grammar/regex.h"
#include "grammar/schema.h"
#include "grammar/schema_keywords.h"
#include "grammar/schema_reading.h"

namespace plumb::grammar {

// A member that is not listed; -1: there is none.
Result<ExprId> SchemaCompiler::free_member(const Json& node, const std::string& path, int depth,
                                           const std::vector<std::string>& but) {
  const Json* rest = node.find("additionalProperties");
  const Json* patterns = node.find("patternProperties");
  const Json* names = node.find("propertyNames");
  const bool closed = is_false(rest);
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
  if (names && !but.empty()) {
    return Error{Code::kUnsupported,
                 str(path, ".propertyNames beside properties or required is not offered.")};
  }
  if (closed) return ExprId{-1};
  if (!rest && !but.empty()) return ExprId{-1};
  ExprId key = -1;
  if (names) {
    static const Json kString = Json::object({{"type", Json::string("string")}});
    PLUMB_TRY(strings, merged(*names, kString, path + ".propertyNames"));
    PLUMB_TRY(name, nested(keep(std::move(strings)), path + ".propertyNames", depth + 1));
    key = name;
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
    if (size.min > 1) {
      return Error{Code::kUnsupported,
                   str(path,
                       ".minProperties above 1 is not offered: a name that is not "
                       "listed may come twice.")};
    }
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
      const bool nothing = is_false(&schema);
      const bool needed = has(required, name);
      if (!nothing || needed) out.listed.push_back({name, &schema, needed});
      out.names.push_back(name);
    }
  }
  const Json* rest = node.find("additionalProperties");
  const bool closed = is_false(rest);
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
  PLUMB_TRY_STATUS(spend(path));
  if (depth > kMostSchemaDepth || !node.is_object()) {
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
    for (Json part : list->items()) {
      PLUMB_TRY_STATUS(spend(path));
      PLUMB_TRY(whole, without_reference(std::move(part), path));
      PLUMB_TRY(more, merged(joined, whole, path));
      joined = std::move(more);
    }
    ways.push_back(std::move(joined));
  } else {
    ways = list->items();
    if (keyword == "oneOf") PLUMB_TRY_STATUS(check_one_of(ways, path));
  }
  for (const Json& way : ways) {
    PLUMB_TRY(joined, merged(rest, way, path));
    PLUMB_TRY(found, objects(keep(std::move(joined)), path, depth + 1));
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

}  // namespace plumb::grammar
