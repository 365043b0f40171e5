// One conversation with a model: what is asked, answered, taken back, saved and loaded. Knows no
// terminal.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "gateway/chat_file.h"
#include "gateway/provider.h"
#include "text/chat_format.h"

namespace plumb {

// Whom a session talks to. Everything outlives it.
struct ChatHost {
  Provider& provider;
  Engine& engine;  // the provider's, for states that go to files
  const ChatFormat& format;
  ChatIdentity identity;
  Pos context = 0;  // tokens that a conversation may have
};

struct ChatSettings {
  SamplingParams sampling;            // its seed is chosen for every answer
  std::optional<std::uint64_t> seed;  // of every answer; nullopt: a new one each time
  int max_tokens = -1;                // of one answer; -1: what the context leaves
};

// What came of asking.
struct AnswerReport {
  Finished finish;
  std::uint64_t seed = 0;
  bool stopped = false;         // Ctrl-C
  bool kept = true;             // false: nothing was answered yet; the conversation is as before
  bool full = false;            // the conversation fills the context: the answer ends there
  std::vector<ToolCall> calls;  // complete ones, whose results the model waits for
};

struct LoadReport {
  int messages = 0;
  Pos tokens = 0;   // of the conversation
  Pos to_read = 0;  // of these, to be computed before the next answer
};

// Sees every event of an answer as it comes.
using Watch = std::function<void(const ChatEvent&)>;

// Ctrl-C (base/interrupt.h) ends whatever waits. One thread.
class ChatSession {
 public:
  ChatSession(ChatHost host, ChatSettings settings, Conversation start);

  // Asks and waits for the answer. An error leaves the conversation as it was: kExhausted says,
  // with both numbers, that the context has no room.
  Result<AnswerReport> say(std::string text, const Watch& watch);
  Result<AnswerReport> give_results(std::vector<Message> results, const Watch& watch);
  // Answers the last question anew. kNotFound: there is none.
  Result<AnswerReport> retry(std::optional<std::uint64_t> seed, const Watch& watch);

  bool undo();   // the last question and all that followed; false: there is none
  void clear();  // everything but the system text
  void set_system(const std::string& text);  // empty: none
  std::string system() const;
  void set_effort(Effort effort) { conversation_.effort = effort; }
  const Conversation& conversation() const { return conversation_; }
  bool empty() const;  // nobody has said anything
  Pos tokens() const;  // that the conversation fills
  Pos context() const { return host_.context; }

  // Brings the state to the end of the conversation first (`watch` sees the progress), so that
  // loading costs nothing. kCancelled: Ctrl-C; nothing was written. Returns the file's size.
  Result<std::uint64_t> save(const std::filesystem::path& path, const Watch& watch);
  // An error leaves the conversation as it was. Without its state the conversation of any model can
  // be had, and will be read again.
  Result<LoadReport> load(const std::filesystem::path& path, bool with_state);

 private:
  Result<AnswerReport> answer(std::uint64_t seed, const Watch& watch);
  // Asks for an answer to conversation_; puts `before` back unless something came of it.
  Result<AnswerReport> answer_or_restore(std::vector<Message> before, std::uint64_t seed,
                                         const Watch& watch);
  Result<Finished> run(ChatRequest request, const Watch& watch, bool& stopped);
  // The tokens with which every next prompt begins.
  Result<std::vector<Token>> prefix(const Conversation& conversation) const;
  std::uint64_t next_seed() const;
  std::size_t last_question() const;  // its index; the number of messages: none

  ChatHost host_;
  ChatSettings settings_;
  Conversation conversation_;
};

}  // namespace plumb
