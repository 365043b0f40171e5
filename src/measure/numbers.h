// The arithmetic of measuring: medians, probes that agree, bounds, and what people type.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace plumb::measure {

// The middle value, or the mean of the two in the middle; 0 for none.
double median(std::vector<double> values);

// Whether two probes of the same machine differ by at most a tenth of the smaller one. Probes that
// were not taken (0 and 0) agree.
bool agree(double before, double after);

// The least time that `bytes` and `ops` can take, done side by side; a rate of 0 is unknown and
// bounds nothing.
double bound_seconds(double bytes, double bytes_per_second, double ops, double ops_per_second);

// "0,4k,16k" is {0, 4096, 16384}; k and M are powers of 1024; "none" is {}. Every number lies in
// [min, max]. kInvalid names `option`, the part that is wrong and what was expected.
Result<std::vector<std::int64_t>> parse_counts(std::string_view text, std::string_view option,
                                               std::int64_t min, std::int64_t max);

// The last number of a program's output: "tg64: 45.9 t/s" is 45.9. Digits inside a word ("tg64")
// are no number. kInvalid when there is none, or it is not positive.
Result<double> last_number(std::string_view text);

}  // namespace plumb::measure
