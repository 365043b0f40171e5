// Requests kept so that their answers can be computed again, byte for byte.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gateway/provider.h"
#include "gateway/wire/wire.h"

namespace plumb {

// What decides the bytes of one complete answer, and their digest.
struct Record {
  std::string id;      // the request's
  std::string at;      // RFC 3339
  std::string format;  // wire::Format::name
  std::string body;    // of the request, as it came: holds what the client wrote
  std::string model;   // which the request was given to
  wire::ReplyHead head;
  std::uint64_t seed = 0;
  std::string fingerprint, tokenizer, numerics, build, config;
  // Each choice's prompt tokens that were cached: part of the usage, and not of the answer.
  std::vector<int> cached;
  std::vector<std::pair<int, int>> order;  // as in CallOutcome
  std::string sha256;                      // of the answer's body
  std::uint64_t bytes = 0;
};

std::string record_text(const Record& record);
// kCorrupt names the file (`what`) and field.
Result<Record> parse_record(std::string_view text, std::string_view what);

// Computes the answer again. kUnsupported names what differs from the record (weights, tokenizer,
// numerics): the bytes could not be the same. The caller compares digests. Blocks.
Result<std::string> replay(const Record& record, Provider& provider,
                           const wire::Defaults& defaults);

// A directory of records, one file each. Thread-safe; writing happens on a thread of its own, so
// that no answer waits for a disk. A record that finds the queue full is lost and counted.
class RecordStore {
 public:
  // Makes the directory.
  static Result<std::unique_ptr<RecordStore>> open(const std::filesystem::path& directory);
  virtual ~RecordStore() = default;  // writes what is queued
  virtual void save(Record record) = 0;
  virtual std::uint64_t lost() const = 0;
};
// kNotFound: no such record; kInvalid: `id` is no request id.
Result<Record> load_record(const std::filesystem::path& directory, const std::string& id);

}  // namespace plumb
