// Who may do what: API keys, known by their digests only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http.h"

namespace plumb {

enum class Scope : std::uint8_t { kInference, kMetrics, kAdmin };
inline constexpr std::array<Scope, 3> kScopes = {Scope::kInference, Scope::kMetrics, Scope::kAdmin};
std::string_view to_string(Scope scope);  // "inference", "metrics", "admin"

// A set of scopes. No scope includes another one.
class Scopes {
 public:
  constexpr Scopes() = default;
  constexpr Scopes(std::initializer_list<Scope> scopes) {
    for (const Scope scope : scopes) add(scope);
  }
  constexpr void add(Scope scope) { bits_ = static_cast<std::uint8_t>(bits_ | bit(scope)); }
  constexpr bool has(Scope scope) const { return (bits_ & bit(scope)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  bool operator==(const Scopes&) const = default;

 private:
  static constexpr std::uint8_t bit(Scope scope) {
    return static_cast<std::uint8_t>(1u << static_cast<unsigned>(scope));
  }
  std::uint8_t bits_ = 0;
};

// What a key may use; 0: no limit.
struct KeyLimits {
  int max_parallel = 0;
  int requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;  // of prompts and answers
  bool operator==(const KeyLimits&) const = default;
};

struct ApiKeyOptions {
  std::string name;    // for logs: letters, digits, "-", "_", "."
  std::string sha256;  // of the key, 64 hexadecimal digits
  Scopes scopes = {Scope::kInference};
  KeyLimits limits;
  bool operator==(const ApiKeyOptions&) const = default;
};

// The digest by which a key is known. kInvalid, by the key's name and never showing the key: it is
// shorter than 16 characters, longer than 512, or cannot be sent in a header.
Result<std::string> api_key_digest(std::string_view name, std::string_view key);

struct ApiKey {
  std::string name;
  Scopes scopes;
  KeyLimits limits;
  std::size_t index = 0;  // among all keys
};

// Immutable.
class ApiKeys {
 public:
  ApiKeys() = default;  // none
  // kInvalid names the key: a name or digest that is malformed or there twice, no scopes, a
  // negative limit.
  static Result<ApiKeys> create(const std::vector<ApiKeyOptions>& options);

  // nullptr: no such key. Takes equally long wherever the difference lies.
  const ApiKey* find(std::string_view presented) const;
  // No keys: whoever connects from this machine may ask for answers and metrics.
  bool open() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  const ApiKey& at(std::size_t index) const { return entries_.at(index).key; }

  enum class Verdict : std::uint8_t {
    kGranted,
    kMissing,    // 401: a key is needed and none was sent
    kUnknown,    // 401: the key that was sent is none of ours
    kForbidden,  // 403: the key does not have the scope
    kRemote,     // 403: without keys only this machine is served
  };
  struct Access {
    Verdict verdict = Verdict::kGranted;
    const ApiKey* key = nullptr;  // null when none was needed, or it is unknown
  };
  Access access(const HttpRequest& request, Scope scope) const;

 private:
  struct Entry {
    ApiKey key;
    std::array<std::byte, 32> digest;
  };
  std::vector<Entry> entries_;
};

// The sentence for a verdict that is not kGranted. Says nothing of the key that was sent.
std::string explain(ApiKeys::Verdict verdict, Scope scope);

// The key in "Authorization: Bearer KEY", "x-api-key: KEY" or "api-key: KEY", the first of these
// that is there; empty: none.
std::string_view presented_key(const HttpRequest& request);
// Of HttpRequest::peer, with or without a port.
bool is_loopback(std::string_view peer);

}  // namespace plumb
