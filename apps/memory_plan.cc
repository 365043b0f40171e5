#include "apps/memory_plan.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace plumb {
namespace {

// Bytes of one sequence of `context` tokens: whole pages.
std::uint64_t state_bytes(const MemoryNeeds& needs, Pos context) {
  const Pos pages = (context + needs.page_tokens - 1) / needs.page_tokens;
  const double rows = static_cast<double>(pages) * needs.page_tokens * needs.per_token;
  return needs.per_sequence + static_cast<std::uint64_t>(std::ceil(rows));
}

std::uint64_t total_bytes(const MemoryNeeds& needs, Pos context, int sequences) {
  return needs.weights + needs.scratch +
         static_cast<std::uint64_t>(sequences) * state_bytes(needs, context);
}

Pos largest_fit(const MemoryNeeds& needs, int sequences, std::uint64_t available, Pos max_context) {
  Pos fits = 0, too_long = max_context + 1;
  while (too_long - fits > 1) {
    const Pos middle = fits + (too_long - fits) / 2;
    (total_bytes(needs, middle, sequences) <= available ? fits : too_long) = middle;
  }
  return fits;
}

std::string line(const std::string& what, std::uint64_t bytes) {
  std::string text = "  " + what;
  text.resize(std::max<std::size_t>(text.size(), 24), ' ');
  const std::string amount = bytes_text(bytes);
  text += std::string(amount.size() < 10 ? 10 - amount.size() : 0, ' ') + amount;
  return text + "\n";
}

}  // namespace

MemoryPlan plan_memory(const MemoryNeeds& needs, Pos context, int sequences,
                       std::uint64_t available, Pos max_context) {
  MemoryPlan plan;
  plan.needs = needs;
  plan.context = context;
  plan.sequences = sequences;
  plan.available = available;
  plan.state = static_cast<std::uint64_t>(sequences) * state_bytes(needs, context);
  plan.total = total_bytes(needs, context, sequences);
  plan.largest_context = largest_fit(needs, sequences, available, max_context);
  return plan;
}

Status check_plan(const MemoryPlan& plan) {
  if (plan.fits()) return {};
  std::string text = str("This needs ", bytes_text(plan.total), " for a context of ",
                         grouped(static_cast<std::uint64_t>(plan.context)), " tokens, and ",
                         bytes_text(plan.available), " may be used. ");
  if (plan.largest_context > 0) {
    text += str("A context of ", grouped(static_cast<std::uint64_t>(plan.largest_context)),
                " tokens would fit (--context ", plan.largest_context, ").");
  } else {
    text += str("Even the shortest context needs ",
                bytes_text(total_bytes(plan.needs, 1, plan.sequences)),
                "; this model does not fit on this machine, or --memory is too low.");
  }
  return Error{Code::kExhausted, text};
}

std::string describe_plan(const MemoryPlan& plan) {
  const std::string tokens = grouped(static_cast<std::uint64_t>(plan.context));
  std::string text = "Memory for a context of " + tokens + " tokens" +
                     (plan.sequences > 1 ? str(" in ", plan.sequences, " sequences") : "") + ":\n";
  text += line("weights", plan.needs.weights);
  text += line("state", plan.state);
  text += line("scratch", plan.needs.scratch);
  text += line("together", plan.total);
  text += line("may be used", plan.available);
  return text;
}

}  // namespace plumb
