#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/mapping_guard.h"
#include "base/strings.h"

namespace plumb {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  MappedFile file;
  file.path_ = path;
  // O_NONBLOCK: opening a FIFO by mistake must be refused below, not waited for.
  file.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd_ < 0) return file_error("open", path, errno);
  struct stat status {};
  if (::fstat(file.fd_, &status) != 0) return file_error("read", path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{Code::kInvalid, str(path.string(), " is not a regular file.")};
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return file;
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd_, 0);
  if (mapped == MAP_FAILED) return file_error("map", path, errno);
  file.data_ = static_cast<std::byte*>(mapped);
  file.size_ = size;
  file.guard_ = remember_mapping(file.data_, size, path.string());
  return file;
}

MappedFile::~MappedFile() { close(); }

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  close();
  path_ = std::move(other.path_);
  fd_ = std::exchange(other.fd_, -1);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  guard_ = std::exchange(other.guard_, nullptr);
  return *this;
}

void MappedFile::close() {
  if (guard_ != nullptr) forget_mapping(guard_);
  if (data_ != nullptr) ::munmap(data_, static_cast<std::size_t>(size_));
  if (fd_ >= 0) ::close(fd_);
  guard_ = nullptr;
  data_ = nullptr;
  fd_ = -1;
  size_ = 0;
}

Result<std::span<const std::byte>> MappedFile::slice(std::uint64_t offset,
                                                     std::uint64_t size) const {
  if (offset > size_ || size > size_ - offset) {
    return Error{Code::kCorrupt, str(path_.string(), " has ", size_, " bytes; ", size,
                                     " bytes at offset ", offset, " do not lie within it.")};
  }
  return bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

Status MappedFile::read_guarded(std::uint64_t offset, std::span<std::byte> out) const {
  PLUMB_TRY_STATUS(slice(offset, out.size()));
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_error("read", path_, errno);
    if (n == 0) {
      return Error{Code::kCorrupt,
                   str(path_.string(), " was ", size_, " bytes long and now ends at ", offset,
                       ": it was truncated while it was being read.")};
    }
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

MappedFile::Range MappedFile::pages(std::uint64_t offset, std::uint64_t size) const {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  offset = std::min(offset, size_);
  const std::uint64_t end = offset + std::min(size, size_ - offset);
  const std::uint64_t begin = offset / page * page;
  return {data_ + begin, static_cast<std::size_t>(end - begin)};
}

void MappedFile::will_need(std::uint64_t offset, std::uint64_t size) const {
  const Range range = pages(offset, size);
  if (range.size > 0) ::madvise(range.begin, range.size, MADV_WILLNEED);
}

void MappedFile::sequential() const {
  if (data_ != nullptr) ::madvise(data_, static_cast<std::size_t>(size_), MADV_SEQUENTIAL);
}

void MappedFile::release(std::uint64_t offset, std::uint64_t size) const {
  const Range range = pages(offset, size);
  if (range.size > 0) ::madvise(range.begin, range.size, MADV_DONTNEED);
}

}  // namespace plumb
