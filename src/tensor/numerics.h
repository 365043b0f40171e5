// The declared numerics of a run: which rounding points of the published reference are carried out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace plumb {

enum class NumericsMode : std::uint8_t {
  kPlain,   // weights dequantised exactly, fp32 activations and rows, no rounding, no simulation
  kVendor,  // every rounding and cache simulation of the published reference, June 2026 revision
  kFast,    // cheaper products: activations to int8 or bfloat16; caches as in vendor
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
  bool fast_products = false;     // products as the device does them fastest (device/fast_input.h)
  std::string_view products = "chain";  // whose order of summation they take; a literal

  static constexpr Numerics plain() { return {}; }
  static constexpr Numerics vendor() {
    return {NumericsMode::kVendor, true, true, true, true, true, true, true, false, "chain"};
  }
  static constexpr Numerics fast() {
    Numerics n;
    n.mode = NumericsMode::kFast;
    n.simulate_kv = n.simulate_index = n.fast_products = true;
    return n;
  }
  // "plain", "vendor", "fast": as options name them. Anything else is plain.
  static constexpr Numerics named(std::string_view name) {
    return name == "vendor" ? vendor() : name == "fast" ? fast() : plain();
  }
  // As named() takes it.
  constexpr std::string_view name() const {
    return mode == NumericsMode::kPlain ? "plain" : mode == NumericsMode::kVendor ? "vendor" : "fast";
  }
  // Names the arithmetic in caches, saved states, logs and benchmarks. Changes whenever a byte of
  // the results could: that of fast products carries the device's Device::fast_products().
  std::string id() const {
    if (mode == NumericsMode::kPlain) return "plain-1";
    if (mode == NumericsMode::kVendor) return "vendor-2026-06-1";
    return "fast-2-" + std::string(products);
  }
};

}  // namespace plumb
