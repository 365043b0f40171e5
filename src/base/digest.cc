#include "base/digest.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace plumb {

// Failures of these calls mean that OpenSSL itself is broken or memory is gone: our bug class.
struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  Context() {
    PLUMB_CHECK(evp != nullptr);
    begin();
  }
  ~Context() { EVP_MD_CTX_free(evp); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  void begin() { PLUMB_CHECK(EVP_DigestInit_ex(evp, EVP_sha256(), nullptr) == 1); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  PLUMB_CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1);
}

void Sha256::update(std::string_view text) { update(std::as_bytes(std::span(text))); }

Sha256Digest Sha256::finish() {
  Sha256Digest out;
  unsigned int size = 0;
  PLUMB_CHECK(
      EVP_DigestFinal_ex(context_->evp, reinterpret_cast<unsigned char*>(out.data()), &size) == 1);
  PLUMB_CHECK(size == out.size());
  context_->begin();
  return out;
}

Sha256Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Sha256Digest sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

std::string hex(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    out += kDigits[std::to_integer<int>(b) >> 4];
    out += kDigits[std::to_integer<int>(b) & 15];
  }
  return out;
}

std::string sha256_hex(std::string_view text) { return hex(sha256(text)); }

}  // namespace plumb
