// Server-sent events as a client reads them (WHATWG HTML, section "Server-sent events").
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plumb::wire {

struct SseEvent {
  std::string name;  // empty: "message"
  std::string data;
};

// Takes bytes in any pieces; gives events whose blank line has come. An event without it never was.
class SseReader {
 public:
  std::vector<SseEvent> push(std::string_view bytes) {
    std::vector<SseEvent> out;
    for (const char c : bytes) {
      if (c != '\n') {
        line_ += c;
        continue;
      }
      if (!line_.empty() && line_.back() == '\r') line_.pop_back();
      if (line_.empty()) {
        if (has_data_) out.push_back(std::exchange(event_, {}));
        event_ = {};
        has_data_ = false;
      } else {
        field(line_);
      }
      line_.clear();
    }
    return out;
  }
  bool inside_event() const { return has_data_ || !line_.empty() || !event_.name.empty(); }
  const std::vector<std::string>& comments() const { return comments_; }
  const std::vector<std::string>& malformed() const {
    return malformed_;
  }  // lines of no known field

 private:
  void field(std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == line.npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (colon == 0) {
      comments_.emplace_back(value);
    } else if (name == "data") {
      if (has_data_) event_.data += '\n';
      event_.data += value;
      has_data_ = true;
    } else if (name == "event") {
      event_.name = value;
    } else if (name != "id" && name != "retry") {
      malformed_.emplace_back(line);
    }
  }

  std::string line_;
  SseEvent event_;
  bool has_data_ = false;
  std::vector<std::string> comments_, malformed_;
};

}  // namespace plumb::wire
