// Memory of devices that compute on the host.
#pragma once

#include <cstddef>

namespace plumb {

// Zeroed, 128-byte aligned; null when there is none. Large blocks come from the system lazily: a
// page counts once it is touched.
std::byte* host_acquire(std::size_t bytes) noexcept;
// Has the system give the pages of a range now, zeroed, which costs less than page by page as they
// are written. A hint: where it fails, they come as they are written.
void host_populate(std::byte* begin, std::size_t bytes) noexcept;
// All memory is equally near to every core, so that it does not matter who touches a page first.
bool host_memory_is_uniform();
// Gives back what host_acquire returned.
void host_release(std::byte* data) noexcept;

}  // namespace plumb
