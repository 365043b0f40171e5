// A chat in a file: the conversation and, so that going on costs no prefill, the model's state.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "text/chat.h"

namespace plumb {

// What a model's state depends on. A state made with one of these is meaningless with another.
struct ChatIdentity {
  std::string weights;  // fingerprints, as ModelInfo and Tokenizer give them
  std::string tokenizer;
  std::string numerics;  // Numerics::id()
  bool operator==(const ChatIdentity&) const = default;
};

struct ChatFile {
  ChatIdentity identity;
  Conversation conversation;
  // As Engine::save_session gave it; empty: none was kept. Points into the bytes that were parsed.
  std::span<const std::byte> state;
};

// Layout in docs/FORMATS.md, "Chat file".
std::string encode_chat_file(const ChatFile& chat);
// Foreign bytes: kCorrupt when damaged or cut, kUnsupported for a later version. `bytes` must
// outlive the result's state.
Result<ChatFile> parse_chat_file(std::span<const std::byte> bytes);

// kUnsupported names the first thing that differs, and both values.
Status check_identity(const ChatIdentity& saved, const ChatIdentity& here);

}  // namespace plumb
