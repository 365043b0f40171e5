#include "gateway/provider.h"

#include <algorithm>
#include <utility>

namespace plumb {

void append(Message& message, const ReplyDelta& delta) {
  message.role = Role::kAssistant;
  if (const auto* reasoning = std::get_if<ReasoningDelta>(&delta)) {
    message.reasoning += reasoning->text;
  } else if (const auto* content = std::get_if<ContentDelta>(&delta)) {
    if (message.content.empty()) message.content.emplace_back();
    message.content.back().text += content->text;
  } else {
    const auto& call = std::get<ToolCallDelta>(delta);
    const auto index = static_cast<std::size_t>(call.index);
    if (message.tool_calls.size() <= index) message.tool_calls.resize(index + 1);
    message.tool_calls[index].id += call.id;
    message.tool_calls[index].name += call.name;
    message.tool_calls[index].arguments += call.arguments;
  }
}

std::string_view to_string(Brake brake) {
  switch (brake) {
    case Brake::kNone:
      break;
    case Brake::kReasoning:
      return "reasoning_budget";
    case Brake::kLoop:
      return "loop";
    case Brake::kLongCall:
      return "long_call";
  }
  return "";
}

Result<ChatReply> collect(ChatStream& stream) {
  ChatReply reply;
  reply.message.role = Role::kAssistant;
  while (auto event = stream.next()) {
    if (const auto* delta = std::get_if<ReplyDelta>(&*event)) append(reply.message, *delta);
    if (auto* token = std::get_if<TokenInfo>(&*event)) reply.tokens.push_back(std::move(*token));
    if (auto* finish = std::get_if<Finished>(&*event)) reply.finish = std::move(*finish);
  }
  if (reply.finish.error) return *reply.finish.error;
  // From the back, so that the earlier indices stay right.
  std::vector<int> cut = reply.finish.unfinished_calls;
  std::sort(cut.rbegin(), cut.rend());
  for (const int index : cut) {
    if (static_cast<std::size_t>(index) >= reply.message.tool_calls.size()) continue;
    reply.message.tool_calls.erase(reply.message.tool_calls.begin() + index);
  }
  return reply;
}

}  // namespace plumb
