#include "text/deepseek_v4_prompt.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "text/deepseek_v4_literals.h"
#include "text/dsml.h"

namespace plumb::deepseek_v4 {
namespace {

// One part of a user turn.
struct Block {
  bool tool_result = false;
  std::string call_id;  // tool results only
  std::string text;
};

// A message after tool results were merged into user turns.
struct Turn {
  Role role = Role::kUser;
  const Message* message = nullptr;  // null for a user turn that a tool result opened
  std::string where;                 // "messages[3] (user)"
  std::vector<Block> blocks;         // user turns only

  const std::optional<std::string>& task() const {
    static const std::optional<std::string> none;
    return message ? message->task : none;
  }
};

struct Plan {
  bool thinking = false;
  bool dropping = false;          // reasoning before the last user turn is left out
  std::ptrdiff_t last_user = -1;  // index of the last user or developer turn

  bool thinks_at(std::ptrdiff_t index) const {
    return thinking && (!dropping || index >= last_user);
  }
};

Error invalid(const Turn& turn, std::string_view what) {
  return Error{Code::kInvalid, str(turn.where, " ", what)};
}

// A tool result may hold parts that the model cannot see; it is told so, as in training.
std::string tool_text(const Message& message) {
  std::string joined;
  bool first = true;
  for (const ContentPart& part : message.content) {
    if (!first) joined += "\n\n";
    joined += part.kind == ContentPart::Kind::kText ? part.text
                                                    : str("[Unsupported ", part.type_name, "]");
    first = false;
  }
  return joined;
}

Status check_text_only(const Message& message, const std::string& where) {
  for (const ContentPart& part : message.content) {
    if (part.kind == ContentPart::Kind::kText) continue;
    return Error{Code::kUnsupported, str(where, " holds a part of type ", part.type_name,
                                         "; this model reads text only.")};
  }
  return {};
}

bool opens_blocks(const std::vector<Turn>& turns) {
  return !turns.empty() && turns.back().role == Role::kUser;
}

Result<std::vector<Turn>> merge_tool_messages(const std::vector<Message>& messages,
                                              std::ptrdiff_t first_index) {
  std::vector<Turn> turns;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    const std::ptrdiff_t index = static_cast<std::ptrdiff_t>(i) + first_index;
    std::string where = str("messages[", index, "] (", role_name(message.role), ")");
    if (message.role == Role::kTool) {
      if (!opens_blocks(turns))
        turns.push_back({.role = Role::kUser, .message = nullptr, .where = where, .blocks = {}});
      turns.back().blocks.push_back({true, message.tool_call_id, tool_text(message)});
      continue;
    }
    PLUMB_TRY_STATUS(check_text_only(message, where));
    if (message.role != Role::kUser) {
      turns.push_back({message.role, &message, std::move(where), {}});
      continue;
    }
    if (!opens_blocks(turns) || turns.back().task()) {
      turns.push_back({Role::kUser, &message, std::move(where), {}});
    }
    turns.back().blocks.push_back({false, {}, message.text()});
  }
  return turns;
}

// Puts the results of parallel calls, which may arrive in any order, into the order of the calls.
void sort_tool_results(std::vector<Turn>& turns) {
  std::map<std::string, int> order;  // call id → index in the latest assistant message with calls
  for (Turn& turn : turns) {
    if (turn.role == Role::kAssistant && !turn.message->tool_calls.empty()) {
      order.clear();
      int index = 0;
      for (const ToolCall& call : turn.message->tool_calls) {
        if (!call.id.empty()) order[call.id] = index;
        ++index;
      }
    }
    if (turn.role != Role::kUser || order.empty()) continue;
    std::vector<Block> results;
    for (const Block& block : turn.blocks) {
      if (block.tool_result) results.push_back(block);
    }
    const auto rank = [&order](const Block& block) {
      const auto found = order.find(block.call_id);
      return found == order.end() ? 0 : found->second;
    };
    std::stable_sort(results.begin(), results.end(),
                     [&](const Block& a, const Block& b) { return rank(a) < rank(b); });
    auto next = results.begin();
    for (Block& block : turn.blocks) {
      if (block.tool_result) block = std::move(*next++);
    }
  }
}

std::ptrdiff_t last_user_index(const std::vector<Turn>& turns) {
  for (std::ptrdiff_t i = static_cast<std::ptrdiff_t>(turns.size()) - 1; i >= 0; --i) {
    const Role role = turns[static_cast<std::size_t>(i)].role;
    if (role == Role::kUser || role == Role::kDeveloper) return i;
  }
  return -1;
}

// What goes with the reasoning of old turns when it is dropped: developer messages, whole.
void drop_old_developers(std::vector<Turn>& turns) {
  const std::ptrdiff_t last = last_user_index(turns);
  std::ptrdiff_t index = 0;
  std::erase_if(turns,
                [&](const Turn& turn) { return index++ < last && turn.role == Role::kDeveloper; });
}

Status append_tools(const Turn& turn, PromptPieces& out) {
  std::string schemas;
  for (const ToolSpec& tool : turn.message->tools) {
    const Result<Json> parsed = parse_json(tool.function_json, str("The tool ", tool.name));
    if (!parsed) return Error{Code::kInvalid, str("In ", turn.where, ": ", parsed.error().message)};
    if (!schemas.empty()) schemas += '\n';
    schemas += parsed->dump_python();
  }
  out.text("\n\n");
  std::string_view rest = kToolsTemplate;
  while (!rest.empty()) {
    const std::size_t open = rest.find('{');
    out.text(rest.substr(0, open));
    if (open == std::string_view::npos) break;
    const std::size_t close = rest.find('}', open);
    const std::string_view slot = rest.substr(open + 1, close - open - 1);
    if (slot == "dsml_token") out.control(kDsml);
    if (slot == "thinking_start_token") out.control(kThink);
    if (slot == "thinking_end_token") out.control(kEndThink);
    if (slot == "tool_schemas") out.text(schemas);
    rest.remove_prefix(close + 1);
  }
  return {};
}

// Values that ask for nothing, in the sense of the published encoder: null, {}, [], "", 0, false.
bool asks_nothing(const Json& format) {
  switch (format.kind()) {
    case Json::Kind::kNull:
      return true;
    case Json::Kind::kBool:
      return !*format.as_bool();
    case Json::Kind::kNumber:
      return format.as_double() == 0.0;
    case Json::Kind::kString:
      return format.text().empty();
    case Json::Kind::kArray:
      return format.items().empty();
    case Json::Kind::kObject:
      return format.members().empty();
  }
  return false;
}

Status append_response_format(const Turn& turn, PromptPieces& out) {
  const Result<Json> format = parse_json(*turn.message->response_format, "The response format");
  if (!format) return Error{Code::kInvalid, str("In ", turn.where, ": ", format.error().message)};
  if (asks_nothing(*format)) return {};
  constexpr std::string_view kSlot = "{schema}";
  const std::size_t slot = kResponseFormatTemplate.find(kSlot);
  out.text("\n\n");
  out.text(kResponseFormatTemplate.substr(0, slot));
  out.text(format->dump_python());
  out.text(kResponseFormatTemplate.substr(slot + kSlot.size()));
  return {};
}

Status append_offers(const Turn& turn, PromptPieces& out) {
  if (!turn.message->tools.empty()) PLUMB_TRY_STATUS(append_tools(turn, out));
  if (turn.message->response_format) PLUMB_TRY_STATUS(append_response_format(turn, out));
  return {};
}

void append_user(const Turn& turn, PromptPieces& out) {
  out.control(kUser);
  bool first = true;
  for (const Block& block : turn.blocks) {
    if (!first) out.text("\n\n");
    out.text(block.tool_result ? wrap_tool_result(block.text) : block.text);
    first = false;
  }
}

void append_assistant(const Turn& turn, bool with_reasoning, PromptPieces& out) {
  if (with_reasoning) {
    out.text(turn.message->reasoning);
    out.control(kEndThink);
  }
  out.text(turn.message->text());
  append_tool_calls(turn.message->tool_calls, out);
  if (!turn.message->wo_eos) out.control(kEos);
}

Status append_message(const std::vector<Turn>& turns, std::size_t i, const Plan& plan,
                      PromptPieces& out) {
  const Turn& turn = turns[i];
  switch (turn.role) {
    case Role::kSystem:
      out.text(turn.message->text());
      return append_offers(turn, out);
    case Role::kDeveloper:
      if (turn.message->text().empty()) {
        return invalid(turn, "has no text; a developer message must have some.");
      }
      out.control(kUser);
      out.text(turn.message->text());
      return append_offers(turn, out);
    case Role::kUser:
      append_user(turn, out);
      return {};
    case Role::kLatestReminder:
      out.control(kLatestReminder);
      out.text(turn.message->text());
      return {};
    case Role::kAssistant: {
      const bool task_output = i > 0 && turns[i - 1].task().has_value();
      const bool kept = plan.thinks_at(static_cast<std::ptrdiff_t>(i));
      append_assistant(turn, kept && !task_output, out);
      return {};
    }
    case Role::kTool:
      break;  // merged into user turns before
  }
  return invalid(turn, "has a role that this format does not know.");
}

// What hands over to the assistant (or to a quick task) after turn i.
Status append_transition(const std::vector<Turn>& turns, std::size_t i, const Plan& plan,
                         PromptPieces& out) {
  const Turn& turn = turns[i];
  const bool last = i + 1 == turns.size();
  if (!last && turns[i + 1].role != Role::kAssistant &&
      turns[i + 1].role != Role::kLatestReminder) {
    return {};
  }
  if (const auto& task = turn.task()) {
    if (std::find(std::begin(kTasks), std::end(kTasks), *task) == std::end(kTasks)) {
      return invalid(turn, str("has the task \"", *task,
                               "\"; a task is one of action, query, authority, domain, title and "
                               "read_url."));
    }
    if (*task == kActionTask) {
      out.control(kAssistant);
      out.control(plan.thinking ? kThink : kEndThink);
    }
    out.control(str("<｜", *task, "｜>"));
    return {};
  }
  if (turn.role == Role::kUser || turn.role == Role::kDeveloper) {
    out.control(kAssistant);
    out.control(plan.thinks_at(static_cast<std::ptrdiff_t>(i)) ? kThink : kEndThink);
  }
  return {};
}

// Request-level tools and response format ride on the leading system or developer message; where
// the conversation opens with neither, an empty system message carries them.
std::vector<Message> with_request_offers(const Conversation& conversation, bool& inserted) {
  std::vector<Message> messages = conversation.messages;
  inserted = false;
  if (conversation.tools.empty() && !conversation.response_format) return messages;
  const bool leads = !messages.empty() && (messages.front().role == Role::kSystem ||
                                           messages.front().role == Role::kDeveloper);
  if (!leads) {
    messages.insert(messages.begin(), Message::of(Role::kSystem, ""));
    inserted = true;
  }
  Message& head = messages.front();
  head.tools.insert(head.tools.end(), conversation.tools.begin(), conversation.tools.end());
  if (conversation.response_format) head.response_format = conversation.response_format;
  return messages;
}

// Tools keep all reasoning: a model in the middle of a chain of calls needs it.
bool offers_tools(const std::vector<Turn>& turns) {
  return std::any_of(turns.begin(), turns.end(), [](const Turn& turn) {
    return turn.role != Role::kUser && turn.message && !turn.message->tools.empty();
  });
}

}  // namespace

Result<PromptPieces> render_pieces(const Conversation& conversation) {
  bool inserted = false;
  const std::vector<Message> messages = with_request_offers(conversation, inserted);
  PLUMB_TRY(turns, merge_tool_messages(messages, inserted ? -1 : 0));
  sort_tool_results(turns);

  Plan plan;
  plan.thinking = conversation.effort != Effort::kNone;
  plan.dropping = conversation.drop_old_reasoning && !offers_tools(turns);
  if (plan.thinking && plan.dropping) drop_old_developers(turns);
  plan.last_user = last_user_index(turns);

  PromptPieces out;
  out.control(kBos);
  if (conversation.effort == Effort::kMax && !turns.empty()) out.text(kMaxEffort);
  for (std::size_t i = 0; i < turns.size(); ++i) {
    PLUMB_TRY_STATUS(append_message(turns, i, plan, out));
    out.boundary();
    PLUMB_TRY_STATUS(append_transition(turns, i, plan, out));
  }
  return out;
}

Result<std::string> render_text(const Conversation& conversation) {
  PLUMB_TRY(pieces, render_pieces(conversation));
  return pieces.str();
}

}  // namespace plumb::deepseek_v4
