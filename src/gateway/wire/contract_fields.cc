#include "gateway/wire/contract_fields.h"

#include <string_view>
#include <utility>

#include "base/strings.h"
#include "gateway/wire/openai_fields.h"

namespace plumb::wire {
namespace {

constexpr std::string_view kAnyObject = R"({"type":"object"})";
constexpr int kMostGuard = 1 << 30;

// The first of the fields that say it; the others are refused.
class FormFields {
 public:
  FormFields(Reading& reading, std::optional<std::string>& schema_text)
      : reading_(reading), schema_text_(schema_text) {}

  void set(AnswerForm form, const std::string& path) {
    if (form.kind == AnswerForm::Kind::kText) return;
    if (!path_.empty()) {
      reading_.refuse(path, str(path, " and ", path_,
                                " both say what the answer has to be, expected "
                                "one of them."));
      return;
    }
    path_ = path;
    if (form.kind == AnswerForm::Kind::kSchema) schema_text_ = form.source;
    form_ = std::move(form);
  }
  void schema(Fields& fields, std::string_view key) {
    const Json* value = fields.get(key);
    if (!value) return;
    if (value->is_string()) {
      auto parsed = parse_json(value->text(), fields.path(key));
      if (!parsed) return reading_.refuse(fields.path(key), parsed.error().message);
      return set({AnswerForm::Kind::kSchema, parsed->dump(), {}}, fields.path(key));
    }
    if (!value->is_object() && !value->is_bool())
      return fields.refuse(key, "a JSON Schema, as an object or as its text");
    set({AnswerForm::Kind::kSchema, value->dump(), {}}, fields.path(key));
  }
  void text(Fields& fields, std::string_view key, AnswerForm::Kind kind) {
    if (auto value = fields.string(key)) set({kind, *std::move(value), {}}, fields.path(key));
  }
  void choice(Fields& fields, std::string_view key) {
    const Json* list = fields.array(key);
    if (!list) return;
    AnswerForm form{AnswerForm::Kind::kChoice, "", {}};
    for (const Json& item : list->items()) {
      if (!item.is_string()) return fields.refuse(key, "an array of strings");
      form.choices.push_back(item.text());
    }
    if (form.choices.empty()) return fields.refuse(key, "an array of one string at least");
    set(std::move(form), fields.path(key));
  }
  AnswerForm take() { return std::move(form_); }

 private:
  Reading& reading_;
  std::optional<std::string>& schema_text_;
  std::string path_;
  AnswerForm form_;
};

void read_structured_outputs(Fields& body, FormFields& form) {
  const Json* object = body.object("structured_outputs");
  if (!object) return;
  Fields fields(*object, body.path("structured_outputs"), body.reading());
  form.schema(fields, "json");
  form.text(fields, "regex", AnswerForm::Kind::kRegex);
  form.choice(fields, "choice");
  form.text(fields, "grammar", AnswerForm::Kind::kGrammar);
  if (fields.boolean("json_object").value_or(false))
    form.set({AnswerForm::Kind::kSchema, std::string(kAnyObject), {}}, fields.path("json_object"));
}

}  // namespace

AnswerForm read_format(Fields& format, bool wrapped, std::optional<std::string>& schema_text) {
  const auto schema_form = [&](std::string source) {
    schema_text = source;
    return AnswerForm{AnswerForm::Kind::kSchema, std::move(source), {}};
  };
  const std::string type = format.required_string("type");
  if (!format.reading().ok() || type == "text") return {};
  if (type == "json_object") return schema_form(std::string(kAnyObject));
  if (type != "json_schema") {
    format.refuse("type", "text, json_object or json_schema");
    return {};
  }
  const auto read = [&](Fields& fields) {
    fields.string("name");
    fields.string("description");
    fields.boolean("strict");  // kept in either case
    const Json* schema = fields.object("schema");
    if (!schema) fields.refuse("schema", "an object");
    return schema ? schema_form(schema->dump()) : AnswerForm();
  };
  if (!wrapped) return read(format);
  const Json* wrapper = format.object("json_schema");
  if (!wrapper) {
    format.refuse("json_schema", "an object with a schema");
    return {};
  }
  Fields fields(*wrapper, format.path("json_schema"), format.reading());
  return read(fields);
}

AnswerForm read_answer_form(Fields& body, std::optional<std::string>& schema_text) {
  FormFields form(body.reading(), schema_text);
  if (const Json* object = body.object("response_format")) {
    Fields format(*object, body.path("response_format"), body.reading());
    form.set(read_format(format, true, schema_text), body.path("response_format"));
  }
  read_structured_outputs(body, form);
  form.schema(body, "guided_json");
  form.schema(body, "json_schema");
  form.text(body, "guided_regex", AnswerForm::Kind::kRegex);
  form.choice(body, "guided_choice");
  form.text(body, "guided_grammar", AnswerForm::Kind::kGrammar);
  form.text(body, "grammar", AnswerForm::Kind::kGrammar);
  return form.take();
}

bool read_tool_choice(Fields& body, bool nested, Contract& contract) {
  contract.parallel_calls = body.boolean("parallel_tool_calls").value_or(true);
  const Json* choice = body.get("tool_choice");
  if (!choice || (choice->is_string() && choice->text() == "auto")) return true;
  if (choice->is_string() && choice->text() == "none") return false;
  if (choice->is_string() && choice->text() == "required") {
    contract.tools = ToolUse::kRequired;
    return true;
  }
  if (!choice->is_object()) {
    body.refuse("tool_choice", "auto, none, required or the function that is to be called");
    return true;
  }
  Fields fields(*choice, body.path("tool_choice"), body.reading());
  fields.unsupported("type", "only functions can be chosen", "\"function\"");
  if (nested) {
    const Json* function = fields.object("function");
    if (!function) {
      fields.refuse("function", "an object with the function's name");
      return true;
    }
    Fields named(*function, fields.path("function"), body.reading());
    contract.tool = named.required_string("name");
  } else {
    contract.tool = fields.required_string("name");
  }
  contract.tools = ToolUse::kRequired;
  return true;
}

Guards read_guards(Fields& body, const Guards& usual) {
  Guards guards = usual;
  const auto read = [&](Fields& fields, std::string_view key, int& value, int least = 0) {
    if (const auto given = fields.integer(key, least, kMostGuard)) value = static_cast<int>(*given);
  };
  read(body, "thinking_token_budget", guards.max_reasoning);
  const Json* object = body.object("guards");
  if (!object) return guards;
  Fields fields(*object, body.path("guards"), body.reading());
  read(fields, "max_reasoning_tokens", guards.max_reasoning, -1);
  read(fields, "max_repeated_tokens", guards.max_repeated);
  read(fields, "max_call_tokens", guards.max_call);
  return guards;
}

}  // namespace plumb::wire
