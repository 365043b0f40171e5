// SHA-256, for files, fingerprints and committed vectors.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace plumb {

using Sha256Digest = std::array<std::byte, 32>;

// Feeds bytes in pieces of any size. Thread-compatible.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  // The digest of everything fed since construction or the last finish(); starts afresh.
  Sha256Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Sha256Digest sha256(std::span<const std::byte> bytes);
Sha256Digest sha256(std::string_view text);

std::string hex(std::span<const std::byte> bytes);  // lower case
std::string sha256_hex(std::string_view text);

}  // namespace plumb
