#include "apps/chat_session.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <utility>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/strings.h"

namespace plumb {
namespace {

constexpr const char* kSession = "chat";
constexpr std::uint64_t kLargestFile = std::uint64_t{64} << 30;
// How soon Ctrl-C is noticed while nothing comes.
constexpr std::chrono::milliseconds kLook{50};

// Lets a thread sleep until an event is there. Shared with the waker, which may outlast the wait.
struct Bell {
  std::mutex mutex;
  std::condition_variable rung;
  bool ringing = false;

  void ring() {
    {
      const std::lock_guard lock(mutex);
      ringing = true;
    }
    rung.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex);
    rung.wait_for(lock, kLook, [this] { return ringing; });
    ringing = false;
  }
};

// Calls that were cut off must never be run, and are nothing to build on.
void drop_calls(Message& message, std::vector<int> indices) {
  std::sort(indices.rbegin(), indices.rend());
  for (const int index : indices) {
    if (static_cast<std::size_t>(index) >= message.tool_calls.size()) continue;
    message.tool_calls.erase(message.tool_calls.begin() + index);
  }
}

Error full(Pos needed, Pos context) {
  return Error{Code::kExhausted,
               str("With this the conversation has ", grouped(static_cast<std::uint64_t>(needed)),
                   " tokens, and the context holds ", grouped(static_cast<std::uint64_t>(context)),
                   ", the answer included. Nothing was sent and nothing was cut: /undo takes the "
                   "last exchange back, /clear begins anew, --context sets another size at the "
                   "start.")};
}

}  // namespace

ChatSession::ChatSession(ChatHost host, ChatSettings settings, Conversation start)
    : host_(std::move(host)), settings_(std::move(settings)), conversation_(std::move(start)) {}

std::uint64_t ChatSession::next_seed() const {
  if (settings_.seed) return *settings_.seed;
  return std::random_device{}();
}

std::size_t ChatSession::last_question() const {
  const auto& messages = conversation_.messages;
  for (std::size_t i = messages.size(); i-- > 0;) {
    if (messages[i].role == Role::kUser) return i;
  }
  return messages.size();
}

Result<AnswerReport> ChatSession::say(std::string text, const Watch& watch) {
  std::vector<Message> before = conversation_.messages;
  conversation_.messages.push_back(Message::of(Role::kUser, std::move(text)));
  return answer_or_restore(std::move(before), next_seed(), watch);
}

Result<AnswerReport> ChatSession::give_results(std::vector<Message> results, const Watch& watch) {
  std::vector<Message> before = conversation_.messages;
  for (Message& result : results) conversation_.messages.push_back(std::move(result));
  return answer_or_restore(std::move(before), next_seed(), watch);
}

Result<AnswerReport> ChatSession::retry(std::optional<std::uint64_t> seed, const Watch& watch) {
  const std::size_t question = last_question();
  if (question == conversation_.messages.size()) {
    return Error{Code::kNotFound, "There is no question yet that could be answered again."};
  }
  std::vector<Message> before = conversation_.messages;
  conversation_.messages.resize(question + 1);
  return answer_or_restore(std::move(before), seed ? *seed : next_seed(), watch);
}

Result<AnswerReport> ChatSession::answer_or_restore(std::vector<Message> before, std::uint64_t seed,
                                                    const Watch& watch) {
  Result<AnswerReport> report = answer(seed, watch);
  if (!report || !report->kept) conversation_.messages = std::move(before);
  return report;
}

Result<AnswerReport> ChatSession::answer(std::uint64_t seed, const Watch& watch) {
  PLUMB_TRY(prompt, host_.format.render(conversation_));
  const Pos length = static_cast<Pos>(prompt.tokens.size());
  if (length >= host_.context) return full(length, host_.context);
  const Pos room = host_.context - length;
  ChatRequest request;
  request.prompt = conversation_;
  request.sampling = settings_.sampling;
  request.sampling.seed = seed;
  const bool limited = settings_.max_tokens >= 0 && settings_.max_tokens < room;
  request.max_tokens = limited ? settings_.max_tokens : static_cast<int>(room);
  request.session = kSession;

  AnswerReport report;
  report.seed = seed;
  Message reply = Message::of(Role::kAssistant, "");
  const Watch gather = [&](const ChatEvent& event) {
    if (const auto* delta = std::get_if<ReplyDelta>(&event)) append(reply, *delta);
    watch(event);
  };
  PLUMB_TRY(finish, run(std::move(request), gather, report.stopped));
  if (finish.reason == FinishReason::kFailed) {
    if (finish.error) return *finish.error;
    return Error{Code::kInternal, "The answer failed without saying why."};
  }
  drop_calls(reply, finish.unfinished_calls);
  report.full = finish.reason == FinishReason::kLength && !limited;
  report.finish = std::move(finish);
  report.calls = reply.tool_calls;
  // Reasoning alone is no answer: the next prompt would leave it out.
  report.kept = !report.stopped || !reply.text().empty() || !reply.tool_calls.empty();
  if (report.kept) conversation_.messages.push_back(std::move(reply));
  return report;
}

Result<Finished> ChatSession::run(ChatRequest request, const Watch& watch, bool& stopped) {
  clear_interrupts();
  PLUMB_TRY(stream, host_.provider.chat(std::move(request), {}));
  const auto bell = std::make_shared<Bell>();
  stream->set_waker([bell] { bell->ring(); });
  stopped = false;
  for (;;) {
    while (auto event = stream->try_next()) {
      watch(*event);
      if (auto* finished = std::get_if<Finished>(&*event)) return std::move(*finished);
    }
    if (interrupted() && !stopped) {
      stopped = true;
      stream->cancel();
    }
    // A step may take long; whoever asks twice does not want to wait for its end.
    if (interrupt_count() > 1) {
      Finished finished;
      finished.reason = FinishReason::kCancelled;
      return finished;
    }
    bell->wait();
  }
}

bool ChatSession::undo() {
  const std::size_t question = last_question();
  if (question == conversation_.messages.size()) return false;
  conversation_.messages.resize(question);
  return true;
}

void ChatSession::clear() {
  const std::string kept = system();
  conversation_.messages.clear();
  set_system(kept);
}

void ChatSession::set_system(const std::string& text) {
  auto& messages = conversation_.messages;
  const bool has = !messages.empty() && messages.front().role == Role::kSystem;
  if (has) messages.erase(messages.begin());
  if (!text.empty()) messages.insert(messages.begin(), Message::of(Role::kSystem, text));
}

std::string ChatSession::system() const {
  const auto& messages = conversation_.messages;
  if (messages.empty() || messages.front().role != Role::kSystem) return {};
  return messages.front().text();
}

bool ChatSession::empty() const { return last_question() == conversation_.messages.size(); }

Pos ChatSession::tokens() const {
  if (conversation_.messages.empty()) return 0;
  const auto tokens = prefix(conversation_);
  return tokens ? static_cast<Pos>(tokens->size()) : 0;
}

// What the prompts of two different next questions have in common. The conversation rendered alone
// would not do: the next prompt leaves old reasoning out.
Result<std::vector<Token>> ChatSession::prefix(const Conversation& conversation) const {
  Conversation next = conversation;
  next.messages.push_back(Message::of(Role::kUser, "a"));
  PLUMB_TRY(one, host_.format.render(next));
  next.messages.back() = Message::of(Role::kUser, "b");
  PLUMB_TRY(other, host_.format.render(next));
  const auto parted =
      std::mismatch(one.tokens.begin(), one.tokens.end(), other.tokens.begin(), other.tokens.end());
  one.tokens.erase(parted.first, one.tokens.end());
  return std::move(one.tokens);
}

Result<std::uint64_t> ChatSession::save(const std::filesystem::path& path, const Watch& watch) {
  ChatFile file{host_.identity, conversation_, {}};
  std::vector<std::byte> state;
  PLUMB_TRY(tokens, prefix(conversation_));
  if (!empty() && static_cast<Pos>(tokens.size()) < host_.context) {
    ChatRequest request;
    request.prompt = std::move(tokens);
    request.max_tokens = 0;  // only reads
    request.session = kSession;
    bool stopped = false;
    PLUMB_TRY(finish, run(std::move(request), watch, stopped));
    if (stopped) return Error{Code::kCancelled, "Stopped: nothing was saved."};
    if (finish.error) return *finish.error;
    PLUMB_TRY(kept, host_.engine.save_session(kSession));
    state = std::move(kept);
    file.state = state;
  }
  const std::string bytes = encode_chat_file(file);
  PLUMB_TRY_STATUS(write_file_atomically(path, bytes));
  return static_cast<std::uint64_t>(bytes.size());
}

Result<LoadReport> ChatSession::load(const std::filesystem::path& path, bool with_state) {
  PLUMB_TRY(bytes, read_file(path, kLargestFile));
  const auto parsed = parse_chat_file(std::as_bytes(std::span(bytes)));
  if (!parsed) return Error{parsed.error().code, str(path.string(), ": ", parsed.error().message)};
  Pos held = 0;
  if (with_state) {
    const Status same = check_identity(parsed->identity, host_.identity);
    if (!same) {
      return Error{same.error().code,
                   str(path.string(), ": ", same.error().message, " `/load --text ", path.string(),
                       "` takes the conversation without the state; it is then read again.")};
    }
    if (!parsed->state.empty()) {
      PLUMB_TRY(length, host_.engine.load_session(kSession, parsed->state));
      held = length;
    }
  }
  PLUMB_TRY(tokens, prefix(parsed->conversation));
  const Pos length = static_cast<Pos>(tokens.size());
  LoadReport report;
  report.messages = static_cast<int>(parsed->conversation.messages.size());
  report.tokens = length;
  report.to_read = std::max<Pos>(length - held, 0);
  conversation_ = parsed->conversation;
  return report;
}

}  // namespace plumb
