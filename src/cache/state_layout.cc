#include "cache/state_layout.h"

#include <algorithm>

#include "base/check.h"

namespace plumb {
namespace {

std::size_t align64(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

std::size_t ring_bytes(const TailRing& ring) {
  return align64(static_cast<std::size_t>(ring.bytes_per_row) * ring.capacity);
}

}  // namespace

std::size_t StateLayout::page_bytes() const {
  std::size_t bytes = 0;
  for (const RowStream& s : streams) {
    bytes += static_cast<std::size_t>(page_tokens / s.tokens_per_row) * s.bytes_per_row;
  }
  return bytes;
}

std::size_t StateLayout::tail_bytes() const {
  std::size_t bytes = 0;
  for (const TailRing& ring : tail) bytes += ring_bytes(ring);
  return bytes;
}

std::size_t StateLayout::tail_offset(int ring) const {
  std::size_t bytes = 0;
  for (int i = 0; i < ring; ++i) bytes += ring_bytes(tail[i]);
  return bytes;
}

std::size_t StateLayout::packed_tail_bytes(Pos n) const {
  std::size_t bytes = 0;
  for (const TailRing& ring : tail) {
    bytes += static_cast<std::size_t>(ring.needed(n)) * ring.bytes_per_row;
  }
  return bytes;
}

double StateLayout::bytes_per_token() const {
  double bytes = 0;
  for (const RowStream& s : streams) bytes += static_cast<double>(s.bytes_per_row) / s.tokens_per_row;
  return bytes;
}

std::string StateLayout::fingerprint() const {
  std::string out = "page" + std::to_string(page_tokens);
  for (const RowStream& s : streams) {
    out += ";" + s.name + ":" + std::to_string(s.bytes_per_row) + "/" + std::to_string(s.tokens_per_row);
    if (!s.encoding.empty()) out += ":" + s.encoding;
  }
  for (const TailRing& r : tail) {
    out += ";" + r.name + ":" + std::to_string(r.bytes_per_row) + "x" + std::to_string(r.keep) + "+" +
           std::to_string(r.keep_mod);
  }
  return out;
}

}  // namespace plumb
