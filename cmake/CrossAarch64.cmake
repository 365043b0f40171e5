# Toolchain file: aarch64 programs built by Debian's cross compiler, run under qemu-user. The packages
# are the group `cross` of packages.txt; the preset `neon` names this file.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# ctest runs the programs by it. `max` has every instruction that qemu knows, those of neon-bf16 among
# them; the shared libraries are found where Debian's :arm64 packages put them.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu max)

# FindOpenSSL asks pkg-config first, which would name this machine's own libraries.
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig)
