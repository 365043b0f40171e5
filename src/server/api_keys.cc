#include "server/api_keys.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/digest.h"
#include "base/strings.h"

namespace plumb {
namespace {

constexpr std::size_t kMinKey = 16;
constexpr std::size_t kMaxKey = 512;
constexpr std::size_t kMaxName = 64;

bool parse_digest(std::string_view text, Sha256Digest& out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::byte>(high * 16 + low);
  }
  return true;
}

Status check_limits(const ApiKeyOptions& options) {
  const std::pair<const char*, std::int64_t> limits[] = {
      {"max_parallel", options.limits.max_parallel},
      {"requests_per_minute", options.limits.requests_per_minute},
      {"tokens_per_minute", options.limits.tokens_per_minute},
  };
  for (const auto& [what, value] : limits) {
    if (value >= 0) continue;
    return Error{Code::kInvalid, str("The API key \"", options.name, "\" has ", what, " ", value,
                                     ", expected at least 0.")};
  }
  return {};
}

// Case does not count in the name of an authentication scheme.
bool starts_with_bearer(std::string_view value) {
  constexpr std::string_view kScheme = "bearer ";
  return ascii_lower(value.substr(0, kScheme.size())) == kScheme;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::kInference:
      return "inference";
    case Scope::kMetrics:
      return "metrics";
    case Scope::kAdmin:
      return "admin";
  }
  return "";
}

Result<std::string> api_key_digest(std::string_view name, std::string_view key) {
  if (key.size() < kMinKey || key.size() > kMaxKey) {
    return Error{Code::kInvalid, str("The API key \"", name, "\" has ", key.size(),
                                     " characters, expected ", kMinKey, " to ", kMaxKey, ".")};
  }
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  if (!std::all_of(key.begin(), key.end(), printable)) {
    return Error{Code::kInvalid,
                 str("The API key \"", name,
                     "\" has a character that is not printable ASCII, or a space; such a key "
                     "cannot be sent in a header.")};
  }
  return sha256_hex(key);
}

Result<ApiKeys> ApiKeys::create(const std::vector<ApiKeyOptions>& options) {
  ApiKeys keys;
  for (const ApiKeyOptions& option : options) {
    if (!is_name(option.name, "-_.", kMaxName)) {
      return Error{Code::kInvalid,
                   str("An API key has the name \"", option.name, "\", expected 1 to ", kMaxName,
                       " letters, digits, \"-\", \"_\" or \".\".")};
    }
    Entry entry{{option.name, option.scopes, option.limits, keys.entries_.size()}, {}};
    if (!parse_digest(option.sha256, entry.digest)) {
      return Error{Code::kInvalid,
                   str("The API key \"", option.name, "\" has a sha256 of ", option.sha256.size(),
                       " characters, expected 64 hexadecimal digits.")};
    }
    if (option.scopes.empty()) {
      return Error{Code::kInvalid, str("The API key \"", option.name,
                                       "\" has no scopes, expected at least one of inference, "
                                       "metrics and admin.")};
    }
    PLUMB_TRY_STATUS(check_limits(option));
    for (const Entry& other : keys.entries_) {
      if (other.key.name == option.name) {
        return Error{Code::kInvalid, str("Two API keys have the name \"", option.name, "\".")};
      }
      if (other.digest == entry.digest) {
        return Error{Code::kInvalid, str("The API keys \"", other.key.name, "\" and \"",
                                         option.name, "\" are the same key.")};
      }
    }
    keys.entries_.push_back(std::move(entry));
  }
  return keys;
}

const ApiKey* ApiKeys::find(std::string_view presented) const {
  if (presented.empty() || presented.size() > kMaxKey) return nullptr;
  const Sha256Digest digest = sha256(presented);
  const ApiKey* found = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry.key;
  }
  return found;
}

ApiKeys::Access ApiKeys::access(const HttpRequest& request, Scope scope) const {
  if (open()) {
    // Nobody administers a server that knows nobody.
    if (scope == Scope::kAdmin) return {Verdict::kMissing, nullptr};
    return {is_loopback(request.peer) ? Verdict::kGranted : Verdict::kRemote, nullptr};
  }
  const std::string_view presented = presented_key(request);
  if (presented.empty()) return {Verdict::kMissing, nullptr};
  const ApiKey* key = find(presented);
  if (key == nullptr) return {Verdict::kUnknown, nullptr};
  return {key->scopes.has(scope) ? Verdict::kGranted : Verdict::kForbidden, key};
}

std::string explain(ApiKeys::Verdict verdict, Scope scope) {
  switch (verdict) {
    case ApiKeys::Verdict::kGranted:
      return "";
    case ApiKeys::Verdict::kMissing:
      return str("This needs an API key with the scope \"", to_string(scope),
                 "\". Send it as \"Authorization: Bearer KEY\" or \"x-api-key: KEY\".");
    case ApiKeys::Verdict::kUnknown:
      return "The API key that was sent is not known here.";
    case ApiKeys::Verdict::kForbidden:
      return str("The API key that was sent does not have the scope \"", to_string(scope), "\".");
    case ApiKeys::Verdict::kRemote:
      return "This server has no API keys and answers only clients on its own machine.";
  }
  return "";
}

std::string_view presented_key(const HttpRequest& request) {
  const std::string_view authorization = trimmed(request.header("authorization"));
  if (starts_with_bearer(authorization)) {
    const std::string_view key = trimmed(authorization.substr(7));
    if (!key.empty()) return key;
  }
  for (const char* name : {"x-api-key", "api-key"}) {
    const std::string_view key = trimmed(request.header(name));
    if (!key.empty()) return key;
  }
  return {};
}

bool is_loopback(std::string_view peer) {
  const bool bracket = peer.starts_with('[');
  if (bracket) peer.remove_prefix(1);
  if (peer.starts_with("::ffff:")) peer.remove_prefix(7);
  if (peer.starts_with("127.")) return true;
  return peer == "::1" || (bracket && peer.starts_with("::1]"));
}

}  // namespace plumb
