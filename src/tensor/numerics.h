// The declared numerics of a run: which rounding points of the published reference are carried out.
#pragma once

#include <cstdint>
#include <string_view>

namespace plumb {

enum class NumericsMode : std::uint8_t {
  kPlain,   // weights dequantised exactly, fp32 activations and rows, no rounding, no simulation
  kVendor,  // every rounding and cache simulation of the published reference, June 2026 revision
};

// One switch per rounding point; docs/NUMERICS.md lists them with their places in the forward pass
// and every named deviation. Kernels round only where they are told to.
struct Numerics {
  NumericsMode mode = NumericsMode::kPlain;
  bool round_bf16 = false;        // activations and sublayer outputs are rounded to bfloat16
  bool quantise_inputs = false;   // FP8/FP4 linears: input to E4M3 per 128 with a power-of-two scale
  bool block_partials = false;    // FP8/FP4 linears: one partial sum per scale block along k
  bool simulate_kv = false;       // cache rows: E4M3 per 64 over the dims without rotation
  bool simulate_index = false;    // indexer queries and keys: Hadamard, then E2M1 per 32
  bool round_probabilities = false;  // attention probabilities to bfloat16 before the weighted sum
  bool list_blocks = false;       // attention's running maximum moves per 64 places of the row list

  static constexpr Numerics plain() { return {}; }
  static constexpr Numerics vendor() {
    return {NumericsMode::kVendor, true, true, true, true, true, true, true};
  }
  // Names the arithmetic in caches, saved states, logs and benchmarks. Changes whenever a byte of
  // the results could.
  constexpr std::string_view id() const {
    return mode == NumericsMode::kPlain ? "plain-1" : "vendor-2026-06-1";
  }
};

}  // namespace plumb
