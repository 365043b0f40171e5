// What a run would take of this machine's memory, before it takes it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace plumb {

// What a model needs, by its own account; all in bytes.
struct MemoryNeeds {
  std::uint64_t weights = 0;
  std::uint64_t scratch = 0;       // of one forward pass
  std::uint64_t per_sequence = 0;  // whatever its length
  double per_token = 0;            // growth of one sequence
  int page_tokens = 1;             // rows are taken in pages of so many tokens
};

struct MemoryPlan {
  MemoryNeeds needs;
  Pos context = 0;  // tokens of one sequence
  int sequences = 1;
  std::uint64_t state = 0;  // of all sequences at full length
  std::uint64_t total = 0;
  std::uint64_t available = 0;  // what the run may use
  Pos largest_context = 0;      // that fits for so many sequences; 0: not even the shortest

  bool fits() const { return total <= available; }
};

// `context` in [1, max_context].
MemoryPlan plan_memory(const MemoryNeeds& needs, Pos context, int sequences,
                       std::uint64_t available, Pos max_context);

// kExhausted says what is missing and what would fit, when the plan does not.
Status check_plan(const MemoryPlan& plan);

// Lines for people, each ended.
std::string describe_plan(const MemoryPlan& plan);

}  // namespace plumb
