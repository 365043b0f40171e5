// Judges minnow's replies against the fixed held-out prompts (tests/minnow/README.md).
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace plumb {

struct Verdict {
  bool valid = false;  // well-formed: JSON that parses, a call that fits its tool; else as `right`
  bool right = false;
};

// `prompt`: a line of the prompt files. `reply`: the line that `plumb generate --jsonl` printed for
// it.
Verdict judge(const Json& prompt, const Json& reply);

// A prompt line whose "fill" recipe is replaced by the message it describes; other lines as they
// are.
Json expand_fill(const Json& prompt);

// Wilson's 95 % interval of a share, as fractions.
struct Interval {
  double low = 0, high = 0;
};
Interval wilson(int right, int total);

}  // namespace plumb
