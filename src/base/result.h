// Value-or-error, and the three macros of the project's error handling.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace plumb {

// Ten codes, because callers act in ten ways.
enum class Code : std::uint8_t {
  kInvalid,      // the caller's input is wrong; retrying will not help
  kTooLong,      // the input does not fit the context: a shorter one would
  kNotFound,     // a named thing does not exist
  kCorrupt,      // a file or message failed validation
  kUnsupported,  // valid, but this build or model cannot do it
  kExhausted,    // memory, cache pages, queue slots, quota
  kCancelled,    // the caller went away or interrupted
  kTimeout,
  kUnavailable,  // a peer is down; another provider may work
  kInternal,     // our bug or the device's; the engine is no longer trusted
};

struct Error {
  Code code = Code::kInternal;
  std::string message;  // complete sentence with the offending name, its value, what was expected
};

// Value or Error: a subset of std::expected. Thread-compatible.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}
  bool has_value() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }
  const Error& error() const { return error_; }

 private:
  Error error_;
  bool ok_ = true;
};
using Status = Result<void>;

// Early return on error: PLUMB_TRY(model, Model::load(path)); then use `model`.
#define PLUMB_TRY(var, expr)              \
  auto var##_or = (expr);                 \
  if (!var##_or) return var##_or.error(); \
  auto& var = *var##_or

// The same for a Status, or a Result whose value is not needed.
#define PLUMB_TRY_STATUS(expr)                                \
  do {                                                        \
    auto plumb_status = (expr);                               \
    if (!plumb_status) return plumb_status.error();           \
  } while (false)

}  // namespace plumb
