#include "device/cpu/isa.h"

#include <vector>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace plumb::cpu {
namespace {

std::vector<const KernelTable*> detect() {
  std::vector<const KernelTable*> tiers;
#if defined(__x86_64__)
  // The files are compiled for levels 3 and 4 of the x86-64 ABI; these features tell them from
  // lower ones on every processor sold. The check includes that the system keeps the wide
  // registers.
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#if defined(PLUMB_EMULATE_AVX512)
  const bool v4 = v3, dots = v3;  // they are compiled for AVX2 then
#else
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  // What Zen 4 and Sapphire Rapids added, and no processor in part.
  const bool dots = v4 && __builtin_cpu_supports("avx512vnni") &&
                    __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bf16");
#endif
  if (dots) tiers.push_back(&avx512_bf16_table());
  if (v4) tiers.push_back(&avx512_table());
  if (v3) tiers.push_back(&avx2_table());
#elif defined(__aarch64__)
  // A processor with bfloat16 has all else that Armv8.2 asks for.
  const bool dots =
      (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 && (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0;
  if (dots) tiers.push_back(&neon_bf16_table());
  tiers.push_back(&neon_table());
#endif
  tiers.push_back(&baseline_table());
  return tiers;
}

}  // namespace

std::span<const KernelTable* const> usable_tiers() {
  static const std::vector<const KernelTable*> tiers = detect();
  return tiers;
}

Result<const KernelTable*> find_tier(std::string_view name) {
  std::string names;
  for (const KernelTable* tier : usable_tiers()) {
    if (name == "auto" || name == tier->name) return tier;
    names += (names.empty() ? "'" : ", '") + std::string(tier->name) + "'";
  }
  return Error{Code::kUnsupported, "This processor has no instruction set '" + std::string(name) +
                                       "' that Plumb knows; it has " + names + "."};
}

}  // namespace plumb::cpu
