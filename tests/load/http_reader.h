// An HTTP/1.1 response as it comes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plumb::load {

// Takes the bytes of one response in any pieces. Strict: a body must say where it ends, by its
// length or by chunks, so that a cut one is never taken for a whole one. Thread-compatible.
class HttpReader {
 public:
  enum class State : std::uint8_t { kHead, kBody, kDone, kBroken };

  // Appends what the bytes hold of the body. Bytes after the end break it.
  State push(std::string_view bytes, std::string& body);

  State state() const { return state_; }
  const std::string& error() const { return error_; }  // with kBroken: a sentence
  int status() const { return status_; }               // 0: not known yet
  // The first header of that name (lower case); empty: none.
  std::string_view header(std::string_view name) const;
  bool keep_alive() const { return header("connection") != "close"; }

 private:
  enum class Part : std::uint8_t { kStatus, kHeaders, kSized, kSize, kChunk, kChunkEnd, kTrailer };
  bool is_line() const { return part_ != Part::kSized && part_ != Part::kChunk; }
  void line(std::string_view text);
  void status_line(std::string_view text);
  void header_line(std::string_view text);
  void head_is_over();
  void size_line(std::string_view text);
  void broken(std::string why);

  State state_ = State::kHead;
  Part part_ = Part::kStatus;
  std::string line_, error_;
  int status_ = 0;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::uint64_t left_ = 0;  // of the body or chunk
};

}  // namespace plumb::load
