// Saved sessions: the pool's saved state in an envelope that names weights and numerics. Layout in
// docs/FORMATS.md, "Saved session".
#include <cstring>
#include <utility>

#include "engine/sequence.h"

namespace plumb {
namespace {

constexpr std::string_view kMagic = "PLUMBSES";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kLongestName = 4096;

void put_u32(std::vector<std::byte>& out, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void put_text(std::vector<std::byte>& out, std::string_view text) {
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  out.insert(out.end(), bytes, bytes + text.size());
}

// Takes values off the front of foreign bytes.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<std::string> text(std::size_t size) {
    if (bytes_.size() < size) return Error{Code::kCorrupt, "The saved session ends too early."};
    std::string out(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
    return out;
  }
  Result<std::uint32_t> u32() {
    PLUMB_TRY(raw, text(4));
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      value |= static_cast<std::uint32_t>(static_cast<unsigned char>(raw[i])) << (8 * i);
    }
    return value;
  }
  Result<std::string> sized_text() {
    PLUMB_TRY(size, u32());
    if (size > kLongestName) {
      return Error{Code::kCorrupt, "The saved session holds a name of " + std::to_string(size) +
                                       " bytes, expected at most " + std::to_string(kLongestName) +
                                       "."};
    }
    return text(size);
  }
  std::span<const std::byte> rest() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

Status expect_same(const char* what, const std::string& saved, std::string_view here) {
  if (saved == here) return {};
  return Error{Code::kUnsupported, std::string("The saved session was made with other ") + what +
                                       " (" + saved + ") than those in use (" + std::string(here) +
                                       ")."};
}

}  // namespace

Result<std::vector<std::byte>> EngineCore::save_session(const std::string& name) const {
  const auto at = sessions_.find(name);
  if (at == sessions_.end()) {
    return Error{Code::kNotFound, "No state is kept for the session \"" + name + "\"."};
  }
  const ModelInfo& info = model_.info();
  std::vector<std::byte> out;
  put_text(out, kMagic);
  put_u32(out, kVersion);
  for (const std::string& id : {info.fingerprint, info.numerics.id()}) {
    put_u32(out, static_cast<std::uint32_t>(id.size()));
    put_text(out, id);
  }
  const std::vector<std::byte> state = pool_.save(at->second.state);
  out.insert(out.end(), state.begin(), state.end());
  return out;
}

Result<Pos> EngineCore::load_session(const std::string& name, std::span<const std::byte> bytes) {
  Reader reader(bytes);
  const Result<std::string> magic = reader.text(kMagic.size());
  if (!magic || *magic != kMagic) {
    return Error{Code::kCorrupt,
                 "These bytes are not a saved session: they do not begin with PLUMBSES."};
  }
  PLUMB_TRY(version, reader.u32());
  if (version != kVersion) {
    return Error{Code::kUnsupported, "The saved session has version " + std::to_string(version) +
                                         ", expected " + std::to_string(kVersion) + "."};
  }
  PLUMB_TRY(weights, reader.sized_text());
  PLUMB_TRY_STATUS(expect_same("weights", weights, model_.info().fingerprint));
  PLUMB_TRY(numerics, reader.sized_text());
  PLUMB_TRY_STATUS(expect_same("numerics", numerics, model_.info().numerics.id()));
  sessions_.erase(name);
  for (;;) {
    Result<SequenceState> state = pool_.load(reader.rest());
    if (state) {
      const Pos length = state->length();
      while (static_cast<int>(sessions_.size()) >= std::max(options_.max_sessions, 1))
        drop_oldest_session();
      sessions_.emplace(name, Session{std::move(*state), 0, ++uses_});
      return length;
    }
    if (state.error().code != Code::kExhausted || !drop_oldest_session()) return state.error();
  }
}

}  // namespace plumb
