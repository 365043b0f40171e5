#include "server/record.h"

#include <atomic>
#include <charconv>
#include <limits>
#include <stop_token>
#include <thread>

#include "base/channel.h"
#include "base/file.h"
#include "base/strings.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/formats.h"
#include "server/trace.h"

namespace plumb {
namespace {

constexpr std::string_view kKind = "plumb-record-1";
constexpr std::size_t kQueue = 256;
constexpr std::uint64_t kMaxBytes = std::uint64_t{256} << 20;
constexpr JsonLimits kLimits{64, kMaxBytes};

Json integers(const std::vector<int>& values) {
  std::vector<Json> items;
  for (const int value : values) items.push_back(Json::integer(value));
  return Json::array(std::move(items));
}

// 64 bits do not fit a JSON integer.
std::uint64_t read_seed(wire::Fields& in) {
  const std::string text = in.required_string("seed");
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc() || end != text.data() + text.size())
    in.refuse("seed", "64 bits as digits");
  return seed;
}

std::int64_t read_count(wire::Fields& in, std::string_view key) {
  in.required(key);
  return in.integer(key, 0, std::numeric_limits<std::int64_t>::max()).value_or(0);
}

std::vector<int> read_ints(wire::Fields& in, std::string_view key) {
  std::vector<int> out;
  in.required(key);
  const Json* array = in.array(key);
  if (!array) return out;
  for (const Json& item : array->items()) {
    const auto number = item.as_int();
    if (!number || *number < 0 || *number > (1 << 30)) {
      in.refuse(key, "small integers");
      return {};
    }
    out.push_back(static_cast<int>(*number));
  }
  return out;
}

// Ids name files.
bool is_id(const std::string& id) { return is_request_id(id) && id.front() != '.'; }

std::filesystem::path path_of(const std::filesystem::path& directory, const std::string& id) {
  return directory / (id + ".json");
}

class Store final : public RecordStore {
 public:
  explicit Store(std::filesystem::path directory)
      : directory_(std::move(directory)), queue_(kQueue), thread_([this] { run(); }) {}
  ~Store() override { queue_.close(); }  // the thread joins when the queue is empty

  void save(Record record) override {
    if (!is_id(record.id) || !queue_.try_push(std::move(record))) ++lost_;
  }
  std::uint64_t lost() const override { return lost_; }

 private:
  void run() {
    while (auto record = queue_.pop()) {
      if (!write_file_atomically(path_of(directory_, record->id), record_text(*record))) ++lost_;
    }
  }

  std::filesystem::path directory_;
  Channel<Record> queue_;
  std::atomic<std::uint64_t> lost_{0};
  std::jthread thread_;  // last: ends first
};

Status same(std::string_view name, const std::string& recorded, const std::string& here) {
  if (recorded == here) return {};
  return Error{Code::kUnsupported,
               str("The record was made with the ", name, " ", recorded, ", this run has ", here,
                   ": the same bytes cannot be expected.")};
}

// The events of one choice, in order, without those that are not written.
class Source {
 public:
  Source(std::unique_ptr<ChatStream> stream, int cached)
      : stream_(std::move(stream)), cached_(cached) {}
  int prompt_tokens() const { return stream_->prompt_tokens(); }

  Result<ChatEvent> next() {
    while (auto event = stream_->next()) {
      if (std::holds_alternative<PromptProgress>(*event)) continue;
      if (auto* finished = std::get_if<Finished>(&*event)) {
        if (finished->error) return *finished->error;
        finished->usage.cached = cached_;
      }
      return std::move(*event);
    }
    return Error{Code::kCorrupt, "The record names more events than the answer has."};
  }

 private:
  std::unique_ptr<ChatStream> stream_;
  int cached_;
};

Result<wire::Call> call_of(const Record& record, const wire::Defaults& defaults) {
  const wire::Format* format = wire::format_named(record.format);
  if (!format) {
    return Error{Code::kCorrupt,
                 str("The record names the format \"", record.format, "\", which does not exist.")};
  }
  PLUMB_TRY(body, parse_json(record.body, "the recorded request", kLimits));
  wire::Parsed parsed = format->parse(body, defaults);
  if (auto* refusal = std::get_if<wire::Refusal>(&parsed))
    return Error{Code::kInvalid, refusal->message};
  wire::Call call = std::move(std::get<wire::Call>(parsed));
  if (call.choices.size() != record.cached.size()) {
    return Error{Code::kCorrupt, str("The record has ", record.cached.size(),
                                     " choices, its request asks for ", call.choices.size(), ".")};
  }
  for (std::size_t i = 0; i < call.choices.size(); ++i) {
    call.choices[i].model = record.model;
    if (!call.seeded)
      call.choices[i].sampling.seed = wire::seed_of_choice(record.seed, static_cast<int>(i));
  }
  return call;
}

}  // namespace

std::string record_text(const Record& r) {
  std::vector<int> order;
  for (const auto& [choice, count] : r.order) order.insert(order.end(), {choice, count});
  Json out = Json::object();
  const auto text = [&](const char* key, const std::string& value) {
    out.set(key, Json::string(value));
  };
  text("kind", std::string(kKind));
  text("id", r.id);
  text("at", r.at);
  text("format", r.format);
  text("model", r.model);
  text("weights", r.fingerprint);
  text("tokenizer", r.tokenizer);
  text("numerics", r.numerics);
  text("build", r.build);
  text("config", r.config);
  text("seed", std::to_string(r.seed));
  text("unique", r.head.unique);
  out.set("created", Json::integer(r.head.created));
  text("told_model", r.head.model);
  text("told_fingerprint", r.head.fingerprint);
  out.set("cached", integers(r.cached));
  out.set("order", integers(order));
  text("sha256", r.sha256);
  out.set("bytes", Json::integer(static_cast<std::int64_t>(r.bytes)));
  text("request", r.body);
  return out.dump_pretty() + "\n";
}

Result<Record> parse_record(std::string_view text, std::string_view what) {
  PLUMB_TRY(object, parse_json(text, what, kLimits));
  wire::Reading reading;
  Record r;
  {
    wire::Fields in(object, "", reading);
    if (in.required_string("kind") != kKind) in.refuse("kind", kKind);
    r.id = in.required_string("id");
    r.at = in.required_string("at");
    r.format = in.required_string("format");
    r.model = in.required_string("model");
    r.fingerprint = in.required_string("weights");
    r.tokenizer = in.required_string("tokenizer");
    r.numerics = in.required_string("numerics");
    r.build = in.required_string("build");
    r.config = in.required_string("config");
    r.seed = read_seed(in);
    r.head.unique = in.required_string("unique");
    r.head.created = read_count(in, "created");
    r.head.model = in.required_string("told_model");
    r.head.fingerprint = in.required_string("told_fingerprint");
    r.cached = read_ints(in, "cached");
    const std::vector<int> order = read_ints(in, "order");
    if (order.size() % 2 != 0) in.refuse("order", "pairs");
    for (std::size_t i = 0; i + 1 < order.size(); i += 2) {
      if (static_cast<std::size_t>(order[i]) >= r.cached.size())
        in.refuse("order", "choices that there are");
      r.order.emplace_back(order[i], order[i + 1]);
    }
    r.sha256 = in.required_string("sha256");
    r.bytes = static_cast<std::uint64_t>(read_count(in, "bytes"));
    r.body = in.required_string("request");
  }
  if (!reading.ok()) return Error{Code::kCorrupt, str(what, ": ", reading.refusal->message)};
  return r;
}

Result<std::string> replay(const Record& record, Provider& provider,
                           const wire::Defaults& defaults) {
  for (const ModelCard& card : provider.models()) {
    if (card.name != record.model) continue;
    PLUMB_TRY_STATUS(same("weights", record.fingerprint, card.fingerprint));
    PLUMB_TRY_STATUS(same("tokenizer", record.tokenizer, card.tokenizer));
    PLUMB_TRY_STATUS(same("numerics", record.numerics, card.numerics));
  }
  PLUMB_TRY(call, call_of(record, defaults));
  const std::unique_ptr<wire::ReplyWriter> writer = call.writer(record.head);
  std::vector<Source> sources;
  int prompt_tokens = 0;
  for (std::size_t i = 0; i < call.choices.size(); ++i) {
    PLUMB_TRY(stream, provider.chat(std::move(call.choices[i]), {}));
    sources.emplace_back(std::move(stream), record.cached[i]);
    prompt_tokens += sources.back().prompt_tokens();
  }
  std::string out;
  writer->start(prompt_tokens, out);
  for (const auto& [choice, count] : record.order) {
    for (int n = 0; n < count; ++n) {
      PLUMB_TRY(event, sources[static_cast<std::size_t>(choice)].next());
      writer->take(choice, event, out);
    }
  }
  writer->end(out);
  return out;
}

Result<std::unique_ptr<RecordStore>> RecordStore::open(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return file_error("make the directory", directory, error.value());
  return std::unique_ptr<RecordStore>(std::make_unique<Store>(directory));
}

Result<Record> load_record(const std::filesystem::path& directory, const std::string& id) {
  if (!is_id(id)) {
    return Error{Code::kInvalid,
                 str("\"", id, "\" is no request id, expected letters, digits, '-', '_' and '.'.")};
  }
  const std::filesystem::path path = path_of(directory, id);
  PLUMB_TRY(text, read_file(path, kMaxBytes));
  return parse_record(text, path.string());
}

}  // namespace plumb
