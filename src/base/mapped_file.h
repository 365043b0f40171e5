// Files mapped read-only, and what happens when such a file breaks while it is in use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace plumb {

// The exit status of a program whose mapped file was truncated or whose disk failed under it
// (EX_IOERR of sysexits.h). Documented for users in docs/OPERATIONS.md.
inline constexpr int kExitFileFailed = 74;

// Installs the process-wide SIGBUS handler: a fault inside a MappedFile prints one sentence naming
// the file and the byte, and ends the program with kExitFileFailed. Any other SIGBUS stays fatal as
// it was. Call once, from the program's start. Async-signal-safe throughout.
void install_mapping_guard();

// One read-only mapping of a whole file, with its bounds. The bytes are valid while this lives; a
// move keeps their addresses. Thread-safe once open.
class MappedFile {
 public:
  // Fails (kNotFound, kInvalid, kExhausted) with the path. Regular files only; an empty file maps
  // to an empty span.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile() = default;  // empty
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, static_cast<std::size_t>(size_)}; }

  // The bytes [offset, offset+size); kCorrupt when they do not all lie in the file as it was
  // opened.
  Result<std::span<const std::byte>> slice(std::uint64_t offset, std::uint64_t size) const;

  // Copies bytes through read(2) instead of the mapping, so that a file that has shrunk or a disk
  // that fails is an error to the caller and not a signal.
  Status read_guarded(std::uint64_t offset, std::span<std::byte> out) const;

  // Hints; ranges are clipped to the file and widened to pages. Failure of a hint is no error.
  void will_need(std::uint64_t offset, std::uint64_t size) const;  // start reading ahead
  void sequential() const;                                         // will be read once, in order
  // Takes the pages of a range out of this process's memory; the page cache keeps them. They read
  // the same afterwards.
  void release(std::uint64_t offset, std::uint64_t size) const;

 private:
  struct Range {
    std::byte* begin;
    std::size_t size;
  };
  Range pages(std::uint64_t offset, std::uint64_t size) const;
  void close();

  std::filesystem::path path_;
  int fd_ = -1;
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
  void* guard_ = nullptr;  // this mapping's entry in the guard's list
};

}  // namespace plumb
