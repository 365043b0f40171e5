#include "gateway/stop_scanner.h"

#include <algorithm>
#include <utility>

namespace plumb {

StopScanner::StopScanner(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, std::string());
}

std::string StopScanner::push(std::string_view text) {
  if (matched_) return {};
  held_ += text;
  // The earliest match wins; at one place the first one listed.
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at == std::string::npos || (first != std::string::npos && at >= first)) continue;
    first = at;
    matched_ = stop;
  }
  std::size_t safe = first;
  if (!matched_) {
    std::size_t keep = 0;
    for (const std::string& stop : stops_) {
      const std::string_view all = held_;
      for (std::size_t n = std::min(stop.size() - 1, all.size()); n > keep; --n) {
        if (all.substr(all.size() - n) == std::string_view(stop).substr(0, n)) keep = n;
      }
    }
    safe = held_.size() - keep;
  }
  std::string out = held_.substr(0, safe);
  held_.erase(0, safe);
  if (matched_) held_.clear();
  return out;
}

std::string StopScanner::flush() { return std::exchange(held_, {}); }

}  // namespace plumb
