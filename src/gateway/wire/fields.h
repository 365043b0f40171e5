// Reading a foreign JSON object field by field: every field is asked for by name, wrong ones end in
// a Refusal that names them, and what nobody asked for is listed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "gateway/wire/wire.h"

namespace plumb::wire {

// A body may hold a million unknown keys; nobody reads the names of them all.
inline constexpr std::size_t kMostIgnored = 64;

// What reading one request has found so far. The first refusal stays.
struct Reading {
  std::optional<Refusal> refusal;
  std::vector<std::string> ignored;  // as Call::ignored; each path once, kMostIgnored at most

  bool ok() const { return !refusal.has_value(); }
  void refuse(std::string param, std::string message, std::string code = "");
  // Lists what has no effect, under its path without indices, once and within the bound.
  void ignore(std::string path);
};

// One object. Fields that are null count as absent, as clients send them. After a refusal every
// getter answers as if the field were absent, so that parsers need not look after each.
class Fields {
 public:
  // `where`: the object's path ("messages[2]"), empty for the body itself. Anything but an object
  // is refused. `object` and `reading` must outlive it.
  Fields(const Json& object, std::string where, Reading& reading);
  // Lists what was not asked for.
  ~Fields();
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  const Json* get(std::string_view key);  // nullptr: absent
  std::optional<std::string> string(std::string_view key);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t low, std::int64_t high);
  std::optional<double> number(std::string_view key, double low, double high);
  const Json* array(std::string_view key);
  const Json* object(std::string_view key);
  std::string required_string(std::string_view key);
  const Json* required(std::string_view key);  // nullptr: refused

  // The field is known and means nothing here.
  void pass(std::string_view key) { get(key); }
  // Everything in the object is somebody else's to read.
  void pass_all() { all_known_ = true; }
  // The field is known and not offered: refused by name when it is there, unless it says `harmless`
  // (compact JSON), which asks for nothing: "false", "[]", "\"auto\"".
  void unsupported(std::string_view key, std::string_view why, std::string_view harmless = "");

  std::string path(std::string_view key) const;
  // "FIELD is VALUE, expected EXPECTED."; long values are cut.
  void refuse(std::string_view key, std::string_view expected);
  Reading& reading() { return reading_; }

 private:
  const Json& object_;
  std::string where_;
  Reading& reading_;
  std::vector<bool> known_;
  bool all_known_ = false;
};

// A value as messages show it: compact JSON, at most 80 bytes of it.
std::string shown(const Json& value);

}  // namespace plumb::wire
