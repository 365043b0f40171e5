#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "base/strings.h"

namespace plumb {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int close() {
    const int result = ::close(fd_);
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

int write_all(int fd, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t n = ::write(fd, contents.data(), contents.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    contents.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

// Makes the rename itself durable; some file systems refuse to sync a directory, which is no error.
void sync_directory(const std::filesystem::path& path) {
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

}  // namespace

Error file_error(std::string_view doing, const std::filesystem::path& path, int error_number) {
  Code code = Code::kInvalid;
  if (error_number == ENOENT || error_number == ENOTDIR) code = Code::kNotFound;
  if (error_number == ENOSPC || error_number == ENOMEM || error_number == EDQUOT ||
      error_number == EMFILE || error_number == ENFILE) {
    code = Code::kExhausted;
  }
  return Error{code, str("Could not ", doing, " ", path.string(), ": ",
                         std::generic_category().message(error_number), ".")};
}

Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return file_error("open", path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return file_error("read", path, errno);
  if (S_ISDIR(status.st_mode)) return file_error("read", path, EISDIR);
  std::string out;
  // The size is a hint only: pipes have none, and a file may grow while it is read.
  std::uint64_t room =
      std::min<std::uint64_t>(static_cast<std::uint64_t>(status.st_size), max_bytes) + 1;
  while (true) {
    const std::size_t held = out.size();
    out.resize(held + static_cast<std::size_t>(room));
    const ssize_t n = ::read(file.get(), out.data() + held, static_cast<std::size_t>(room));
    if (n < 0 && errno != EINTR) return file_error("read", path, errno);
    out.resize(held + static_cast<std::size_t>(n < 0 ? 0 : n));
    if (n == 0) return out;
    if (out.size() > max_bytes) {
      return Error{Code::kCorrupt, str(path.string(), " is larger than the ", bytes_text(max_bytes),
                                       " that are accepted here.")};
    }
    room = std::max<std::uint64_t>(room - static_cast<std::uint64_t>(n < 0 ? 0 : n), 64 << 10);
  }
}

Status write_file_atomically(const std::filesystem::path& path, std::string_view contents) {
  std::string temporary = path.string() + ".XXXXXX";
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) return file_error("create a file beside", path, errno);
  int error = write_all(file.get(), contents);
  if (error == 0) {
    // mkostemp makes private files; give this one the mode a plain create would have.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(file.get(), 0666 & ~mask) != 0) error = errno;
  }
  if (error == 0 && ::fsync(file.get()) != 0) error = errno;
  if (file.close() != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return file_error("write", path, error);
  }
  sync_directory(path);
  return {};
}

}  // namespace plumb
