// The list of live mappings that the SIGBUS handler searches. Internal to mapped_file.
#pragma once

#include <cstddef>
#include <string>

namespace plumb {

// Adds [begin, begin+size) under the file's name; the result goes to forget_mapping(). Thread-safe.
void* remember_mapping(const std::byte* begin, std::size_t size, const std::string& path);
void forget_mapping(void* entry);

}  // namespace plumb
