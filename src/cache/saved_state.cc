#include "cache/saved_state.h"

#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"

namespace plumb {
namespace {

constexpr std::string_view kMagic = "PLUMBST1";

// FNV-1a over 8-byte words and the rest: catches damage, not malice.
std::uint64_t checksum(std::span<const std::byte> bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 0x100000001b3ULL;
    hash ^= hash >> 29;
  }
  for (; i < bytes.size(); ++i) hash = (hash ^ static_cast<std::uint64_t>(bytes[i])) * 0x100000001b3ULL;
  return hash;
}

void put(std::vector<std::byte>& out, const void* data, std::size_t size) {
  const std::byte* p = static_cast<const std::byte*>(data);
  out.insert(out.end(), p, p + size);
}

void put_u64(std::vector<std::byte>& out, std::uint64_t value) { put(out, &value, sizeof value); }

// Reads forward through foreign bytes; never past the end.
struct Reader {
  std::span<const std::byte> rest;

  bool take(std::size_t size, std::span<const std::byte>& out) {
    if (size > rest.size()) return false;
    out = rest.first(size);
    rest = rest.subspan(size);
    return true;
  }
  bool u64(std::uint64_t& out) {
    std::span<const std::byte> bytes;
    if (!take(sizeof out, bytes)) return false;
    std::memcpy(&out, bytes.data(), sizeof out);
    return true;
  }
};

Error corrupt(const std::string& why) {
  return {Code::kCorrupt, "The saved state cannot be used: " + why + "."};
}

// Runs of consecutive positions in a ring, in order: at most two pieces.
template <class Visit>
void ring_pieces(const TailRing& ring, Pos n, Visit visit) {
  Pos rows = ring.needed(n);
  Pos first = n - rows;
  while (rows > 0) {
    const Pos slot = first % ring.capacity;
    const Pos run = std::min<Pos>(rows, ring.capacity - slot);
    visit(static_cast<std::size_t>(slot) * ring.bytes_per_row,
          static_cast<std::size_t>(run) * ring.bytes_per_row);
    first += run;
    rows -= run;
  }
}

std::size_t rows_bytes(const StateLayout& layout, Pos n) {
  std::size_t bytes = 0;
  for (const RowStream& s : layout.streams) {
    bytes += static_cast<std::size_t>(n / s.tokens_per_row) * s.bytes_per_row;
  }
  return bytes;
}

}  // namespace

std::vector<std::byte> pack_tail(Device& device, const StateLayout& layout, Pos n,
                                 const std::byte* tail) {
  std::vector<std::byte> out(layout.packed_tail_bytes(n));
  std::size_t at = 0;
  for (std::size_t i = 0; i < layout.tail.size(); ++i) {
    const std::byte* ring = tail + layout.tail_offset(static_cast<int>(i));
    ring_pieces(layout.tail[i], n, [&](std::size_t offset, std::size_t bytes) {
      device.download({out.data() + at, bytes}, ring + offset);
      at += bytes;
    });
  }
  PLUMB_CHECK(at == out.size());
  return out;
}

void unpack_tail(Device& device, const StateLayout& layout, std::span<const std::byte> packed, Pos n,
                 std::byte* tail) {
  PLUMB_CHECK(packed.size() == layout.packed_tail_bytes(n));
  std::size_t at = 0;
  for (std::size_t i = 0; i < layout.tail.size(); ++i) {
    std::byte* ring = tail + layout.tail_offset(static_cast<int>(i));
    ring_pieces(layout.tail[i], n, [&](std::size_t offset, std::size_t bytes) {
      device.upload(ring + offset, packed.subspan(at, bytes));
      at += bytes;
    });
  }
}

std::vector<std::byte> encode_saved_state(const StateLayout& layout, const SavedState& state) {
  std::vector<std::byte> out;
  const std::string fingerprint = layout.fingerprint();
  out.reserve(64 + fingerprint.size() + state.keys.size() * sizeof(Key) + state.rows.size() +
              state.tail.size());
  put(out, kMagic.data(), kMagic.size());
  put_u64(out, fingerprint.size());
  put(out, fingerprint.data(), fingerprint.size());
  put_u64(out, state.keys.size());
  put(out, state.keys.data(), state.keys.size() * sizeof(Key));
  put_u64(out, state.rows.size());
  put(out, state.rows.data(), state.rows.size());
  put_u64(out, state.tail.size());
  put(out, state.tail.data(), state.tail.size());
  put_u64(out, checksum(out));
  return out;
}

Result<SavedState> decode_saved_state(const StateLayout& layout, std::span<const std::byte> bytes) {
  Reader in{bytes};
  std::span<const std::byte> piece;
  std::uint64_t size = 0;
  if (!in.take(kMagic.size(), piece) || std::memcmp(piece.data(), kMagic.data(), kMagic.size()) != 0) {
    return corrupt("it does not begin with " + std::string(kMagic));
  }
  if (bytes.size() < kMagic.size() + 8) return corrupt("it is cut short");
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - 8, 8);
  if (sum != checksum(bytes.first(bytes.size() - 8))) {
    return corrupt("its checksum does not match: it was cut short or damaged");
  }
  if (!in.u64(size) || !in.take(size, piece)) return corrupt("it ends inside its layout");
  const std::string made_for(reinterpret_cast<const char*>(piece.data()), piece.size());
  if (made_for != layout.fingerprint()) {
    return Error{Code::kUnsupported, "The saved state was made for another model or another cache layout (\"" +
                                         made_for.substr(0, 80) + "\"), expected \"" +
                                         layout.fingerprint().substr(0, 80) + "\"."};
  }
  SavedState out;
  if (!in.u64(size) || size > in.rest.size() / sizeof(Key) || !in.take(size * sizeof(Key), piece)) {
    return corrupt("it ends inside its token keys");
  }
  out.keys.resize(size);
  if (size > 0) std::memcpy(out.keys.data(), piece.data(), piece.size());
  const Pos n = static_cast<Pos>(size);
  if (!in.u64(size) || !in.take(size, piece)) return corrupt("it ends inside its rows");
  if (size != rows_bytes(layout, n)) {
    return corrupt("its rows take " + std::to_string(size) + " bytes, expected " +
                   std::to_string(rows_bytes(layout, n)) + " for " + std::to_string(n) + " tokens");
  }
  out.rows.assign(piece.begin(), piece.end());
  if (!in.u64(size) || !in.take(size, piece)) return corrupt("it ends inside its tail");
  if (size != layout.packed_tail_bytes(n)) {
    return corrupt("its tail takes " + std::to_string(size) + " bytes, expected " +
                   std::to_string(layout.packed_tail_bytes(n)) + " for " + std::to_string(n) + " tokens");
  }
  out.tail.assign(piece.begin(), piece.end());
  if (in.rest.size() != 8) return corrupt("bytes follow its end");
  return out;
}

}  // namespace plumb
