#include "gateway/wire/openai_conversation.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "gateway/wire/contract_fields.h"
#include "gateway/wire/openai_fields.h"
#include "gateway/wire/openai_messages.h"

namespace plumb::wire {
namespace {

// What the request says of thinking, wherever it says it.
class Thinking {
 public:
  explicit Thinking(Reading& reading) : reading_(reading) {}

  void switched(Fields& fields, std::string_view key, std::optional<bool> on) {
    if (!on) return;
    if (on_ && *on_ != *on) contradiction(fields.path(key), on_from_);
    on_ = on;
    on_from_ = fields.path(key);
  }
  void effort(Fields& fields, std::string_view key) {
    const auto named = read_effort(fields, key);
    if (!named) return;
    if (effort_ && *effort_ != *named) contradiction(fields.path(key), effort_from_);
    effort_ = named;
    effort_from_ = fields.path(key);
  }
  Effort result(Effort usual) {
    if (on_ == false) return Effort::kNone;
    if (on_ && effort_ == Effort::kNone) contradiction(effort_from_, on_from_);
    if (effort_) return *effort_;
    return on_ && usual == Effort::kNone ? Effort::kHigh : usual;
  }

 private:
  void contradiction(const std::string& one, const std::string& other) {
    reading_.refuse(one, str(one, " says otherwise than ", other,
                             " how much to think, expected one of them, or the same in both."));
  }

  Reading& reading_;
  std::optional<bool> on_;
  std::optional<Effort> effort_;
  std::string on_from_, effort_from_;
};

void read_deepseek_switch(Fields& body, Thinking& thinking) {
  const Json* object = body.object("thinking");
  if (!object) return;
  Fields fields(*object, body.path("thinking"), body.reading());
  const std::string type = fields.required_string("type");
  if (!body.reading().ok()) return;
  if (type != "enabled" && type != "disabled") fields.refuse("type", "enabled or disabled");
  thinking.switched(fields, "type", type == "enabled");
}

void read_template_kwargs(Fields& body, Thinking& thinking, Conversation& conversation) {
  const Json* object = body.object("chat_template_kwargs");
  if (!object) return;
  Fields fields(*object, body.path("chat_template_kwargs"), body.reading());
  for (const std::string_view key : {"thinking", "enable_thinking"})
    thinking.switched(fields, key, fields.boolean(key));
  thinking.effort(fields, "reasoning_effort");
  conversation.drop_old_reasoning = fields.boolean("drop_thinking").value_or(true);
}

// Calls that were made stay; no tool is offered.
void offer_no_tools(Conversation& conversation) {
  conversation.tools.clear();
  for (Message& message : conversation.messages) message.tools.clear();
}

// The words that say whether the last message is to be continued. The model's format has no second
// turn of the assistant in a row: a last message of the assistant is always continued, any other
// never, and whoever asks for something else is told.
void check_turn(Fields& body, const Conversation& conversation) {
  const bool open = !conversation.messages.empty() && conversation.messages.back().wo_eos;
  const auto goes_on = body.boolean("continue_final_message");
  if (goes_on && *goes_on != open) {
    body.refuse("continue_final_message", open ? "true: the last message is the assistant's"
                                               : "false: the last message is not the assistant's");
  }
  const auto new_turn = body.boolean("add_generation_prompt");
  if (new_turn == false && !open)
    body.refuse("add_generation_prompt", "true: the last message is not the assistant's");
}

}  // namespace

Conversation read_conversation(Fields& body, const Defaults& defaults, Contract& contract) {
  Conversation conversation;
  conversation.messages = read_messages(body);
  conversation.tools = read_tools(body);
  body.unsupported("functions", "functions are offered as tools");
  body.unsupported("function_call", "functions are offered as tools");
  if (!read_tool_choice(body, true, contract)) offer_no_tools(conversation);
  contract.form = read_answer_form(body, conversation.response_format);
  Thinking thinking(body.reading());
  thinking.effort(body, "reasoning_effort");
  read_deepseek_switch(body, thinking);
  read_template_kwargs(body, thinking, conversation);
  conversation.effort = thinking.result(defaults.effort);
  check_turn(body, conversation);
  return conversation;
}

}  // namespace plumb::wire
