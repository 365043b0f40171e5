// Whole files: read with a limit, written so that a reader sees the old or the new one, never half.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace plumb {

// The sentence for a failed system call on a path, with the code callers act on (kNotFound for a
// missing file, kExhausted for a full disk or no memory, else kInvalid). `doing` completes "Could
// not ...": "open", "write".
Error file_error(std::string_view doing, const std::filesystem::path& path, int error_number);

// Everything in the file (or pipe). Refuses (kCorrupt) one larger than max_bytes.
Result<std::string> read_file(const std::filesystem::path& path,
                              std::uint64_t max_bytes = std::uint64_t{1} << 30);

// Writes a temporary file beside `path`, syncs it and renames it over `path`. On failure the old
// file is untouched and the temporary one is gone.
Status write_file_atomically(const std::filesystem::path& path, std::string_view contents);

}  // namespace plumb
