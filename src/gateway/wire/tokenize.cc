#include "gateway/wire/tokenize.h"

#include <utility>

#include "base/strings.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/openai_conversation.h"
#include "gateway/wire/openai_fields.h"

namespace plumb::wire {
namespace {

void read_text(Fields& body, std::string text, TokenizeCall& call) {
  const bool llama = body.get("content") != nullptr;
  const std::string_view special = llama ? "add_special" : "add_special_tokens";
  call.without_first = !body.boolean(special).value_or(!llama);
  call.prompt = RawText{std::move(text)};
  body.unsupported("parse_special", "text never becomes control tokens", "false");
}

void read_chat(Fields& body, const Defaults& defaults, TokenizeCall& call) {
  Contract contract;  // decides no token of the prompt
  call.prompt = read_conversation(body, defaults, contract);
  body.unsupported("add_special_tokens", "the chat format has its own", "false");
}

}  // namespace

std::variant<TokenizeCall, Refusal> parse_tokenize(const Json& json, const Defaults& defaults) {
  Reading reading;
  TokenizeCall call;
  {
    Fields body(json, "", reading);
    call.model = body.string("model").value_or("");
    auto prompt = body.string("prompt");
    auto content = body.string("content");
    const bool chat = body.get("messages") != nullptr;
    const int given = prompt.has_value() + content.has_value() + chat;
    if (given != 1) {
      reading.refuse("prompt", str("The body has ", given,
                                   " of prompt, content and messages, expected one of them."));
    } else if (chat) {
      read_chat(body, defaults, call);
    } else {
      read_text(body, prompt ? *std::move(prompt) : *std::move(content), call);
    }
    body.unsupported("return_token_strs", "the reply has ids only; see /detokenize", "false");
    body.unsupported("with_pieces", "the reply has ids only; see /detokenize", "false");
    if (!reading.ok()) return *std::move(reading.refusal);
  }
  call.ignored = std::move(reading.ignored);
  return call;
}

std::variant<DetokenizeCall, Refusal> parse_detokenize(const Json& json) {
  Reading reading;
  DetokenizeCall call;
  {
    Fields body(json, "", reading);
    call.model = body.string("model").value_or("");
    if (const Json* tokens = body.array("tokens"))
      call.tokens = read_token_ids(*tokens, "tokens", reading);
    else
      body.refuse("tokens", "an array of token ids");
    if (!reading.ok()) return *std::move(reading.refusal);
  }
  call.ignored = std::move(reading.ignored);
  return call;
}

std::string tokenize_reply(const TokenizeCall& call, std::span<const Token> tokens, Pos context) {
  if (call.without_first && !tokens.empty()) tokens = tokens.subspan(1);
  std::string ids;
  for (const Token token : tokens) ids += str(ids.empty() ? "" : ",", token);
  return str("{\"count\":", tokens.size(), ",\"max_model_len\":", context, ",\"tokens\":[", ids,
             "]}");
}

std::string detokenize_reply(std::string_view text) {
  const std::string quoted = json_quote(text);
  return str("{\"prompt\":", quoted, ",\"content\":", quoted, "}");
}

}  // namespace plumb::wire
