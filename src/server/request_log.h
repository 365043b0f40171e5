// One line of JSON per request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "server/request_record.h"

namespace plumb {

enum class LogLevel : std::uint8_t {
  kRequests,  // every request
  kErrors,    // those that were refused or aborted
};

struct RequestLogOptions {
  std::string path = "-";  // a file, "-": stderr, empty: none
  LogLevel level = LogLevel::kRequests;
  bool content = false;                                 // bodies and answers too
  std::size_t max_queue_bytes = std::size_t{16} << 20;  // of lines that wait for a slow disk
};

// A thread writes the lines, so that no request waits for a disk. Lines that find the queue full,
// and those that cannot be written, are lost and counted; the next line that is written says how
// many. A file is appended to. Thread-safe.
class RequestLog {
 public:
  // kInvalid, kNotFound ...: the file cannot be opened.
  static Result<std::unique_ptr<RequestLog>> open(const RequestLogOptions& options,
                                                  const ServedFacts& facts);
  ~RequestLog();  // writes what is queued

  // Whether RequestRecord::body and ::answer are wanted.
  bool wants_content() const;
  void write(const RequestRecord& record);
  // Opens the path again after the file was renamed. On failure the old file stays in use.
  Status reopen();
  std::uint64_t lost() const;

 private:
  struct Impl;
  explicit RequestLog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The line of one request, with its newline. Fields that do not apply are left out.
std::string log_line(const RequestRecord& record, const ServedFacts& facts, bool content);

}  // namespace plumb
