// Very many connections in a short time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "load/connection.h"
#include "load/loop.h"

namespace plumb::load {

struct FloodResult {
  std::map<int, std::int64_t> statuses;  // of whole replies
  std::int64_t closed = 0;               // without a reply, or within one
  std::int64_t refused = 0;              // there was no connection
  std::int64_t late = 0;                 // neither in time
  std::vector<double> ms;                // of each attempt that was not late
  std::vector<std::string> malformed;    // what was no HTTP, the first few
};

// Connections that each ask for `path` once and want a reply, or a close, in time.
// Thread-compatible.
class Flood {
 public:
  struct Options {
    Target target;
    std::string path = "/health";
    std::int64_t attempts = 10000;
    int parallel = 500;
    std::chrono::milliseconds limit{1000};
  };

  Flood(Loop& loop, const Options& options, std::function<void()> over);
  ~Flood();
  void start();
  const FloodResult& result() const { return result_; }

 private:
  class Attempt;
  void begin(std::size_t slot);
  void end(std::size_t slot);

  Loop& loop_;
  const Options options_;
  std::function<void()> over_;
  std::vector<std::unique_ptr<Attempt>> slots_;
  std::int64_t begun_ = 0, ended_ = 0;
  FloodResult result_;
};

}  // namespace plumb::load
