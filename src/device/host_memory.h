// Memory of devices that compute on the host.
#pragma once

#include <cstddef>

namespace plumb {

// Zeroed, 128-byte aligned; null when there is none. Large blocks come from the system lazily: a
// page counts once it is touched.
std::byte* host_acquire(std::size_t bytes) noexcept;
// Gives back what host_acquire returned.
void host_release(std::byte* data) noexcept;

}  // namespace plumb
