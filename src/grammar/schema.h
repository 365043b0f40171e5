// JSON Schema as a grammar: every text that it lets through satisfies the schema.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/characters.h"
#include "grammar/json_rules.h"

namespace plumb::grammar {

// What is enforced (docs/GRAMMARS.md): type (also several), enum, const, properties, required,
// additionalProperties, patternProperties (one), propertyNames, minProperties and maxProperties of
// objects without listed properties, items, prefixItems, minItems, maxItems, minLength, maxLength,
// pattern, the usual formats, minimum, maximum, their exclusive forms, multipleOf (whole numbers),
// anyOf, oneOf whose alternatives exclude each other, allOf that can be merged, $ref within the
// schema (also recursive), true and false. Annotations are ignored. Everything else that JSON
// Schema defines is refused by its name and path.
//
// The grammar may be narrower than the schema: properties come in the order in which they are
// listed; what a schema does not list it gets only with additionalProperties; a schema without a
// type has the one that its keywords speak of.
class SchemaCompiler {
 public:
  // `rules` and `root` must outlive the compiler. `root` is what "#" in references means.
  // `forgiving`: where something is not offered, any value may stand instead of an error.
  SchemaCompiler(JsonRules& json, const Json& root, bool forgiving = false)
      : json_(json), rules_(json.rules()), root_(root), forgiving_(forgiving) {}

  // Values of `node`, which is a part of the root and stands at `path`. kInvalid and kUnsupported
  // name keyword and path.
  Result<ExprId> value(const Json& node, const std::string& path);

  // The same, sorted: strings as they are, without quotes and escapes, and everything else as JSON.
  struct Parts {
    std::optional<ExprId> raw_strings;
    std::optional<ExprId> others;
  };
  Result<Parts> parts(const Json& node, const std::string& path);

  // The schemas of objects that `node` lets through, references and combinations resolved.
  struct Object {
    const Json* node = nullptr;  // as long as the compiler lives
    std::string path;
  };
  Result<std::vector<Object>> objects(const Json& node, const std::string& path, int depth = 0);
  // What such a schema says of its members.
  struct Member {
    std::string name;
    const Json* schema = nullptr;
    bool needed = false;
  };
  struct Members {
    std::vector<Member> listed;      // in the order of properties, then what only `required` names
    std::vector<std::string> names;  // of all that are listed, those without any value too
    const Json* rest = nullptr;      // of members that are not listed; null: there are none
  };
  Result<Members> members(const Json& node, const std::string& path) const;

  // Members in their order, those that are not needed or left out, and a separator between any two;
  // then the end, which depends on whether [none, some] came before.
  struct Link {
    std::string name;
    ExprId member = -1;
    bool needed = false;
  };
  ExprId chain(const std::vector<Link>& links, ExprId separator, const ExprId (&end)[2]);

  // Compiles what was referred to. Once, at the end.
  Status finish();

 private:
  struct Ways {
    std::vector<ExprId> strings, others;
  };

  Status add(const Json& node, const std::string& path, Spelling strings, int depth, Ways& out);
  Status add_reference(const Json& node, const std::string& path, Spelling strings, int depth,
                       Ways& out);
  Status add_typed(const Json& node, const std::string& path, Spelling strings, int depth,
                   Ways& out);
  Status add_listed(const std::vector<Json>& values, const Json& node, const std::string& path,
                    Spelling strings, Ways& out);
  Status add_string(const Json& node, const std::string& path, Spelling spelling, Ways& out);
  Status add_number(const Json& node, const std::string& path, bool integer, Ways& out);
  Status add_array(const Json& node, const std::string& path, int depth, Ways& out);
  Status add_object(const Json& node, const std::string& path, int depth, Ways& out);
  Result<ExprId> listed_members(const Json& node, const std::string& path, int depth);
  Result<ExprId> free_member(const Json& node, const std::string& path, int depth,
                             const std::vector<std::string>& but);
  Result<ExprId> laid_out(const Json& node, const std::string& path, int depth);
  Result<ExprId> nested(const Json& node, const std::string& path, int depth);
  Status check_one_of(std::vector<Json> ways, const std::string& path) const;
  Result<Json> without_reference(Json node, const std::string& path) const;
  Result<const Json*> target(const std::string& reference, const std::string& path) const;
  const Json& keep(Json schema);  // as long as the compiler lives
  ExprId alt(std::vector<ExprId> ways);
  // kInvalid: the schema multiplies what it says beyond reason.
  Status spend(const std::string& path);
  bool forgives(const Error& error) const { return forgiving_ && error.code == Code::kUnsupported; }

  struct Pending {
    RuleId rule;
    const Json* node;
    std::string path;
  };

  JsonRules& json_;
  Rules& rules_;
  const Json& root_;
  const bool forgiving_;
  int work_ = 0;                            // schemas looked at, each as often as it was
  std::map<std::string, RuleId> referred_;  // by reference
  std::vector<Pending> pending_;
  std::vector<std::unique_ptr<Json>> merged_;  // schemas that allOf and anyOf made
};

// A whole schema: values of `root`.
Result<ExprId> json_schema(JsonRules& json, const Json& root);

}  // namespace plumb::grammar
