#include "server/time_text.h"

#include <gtest/gtest.h>

namespace plumb {
namespace {

using std::chrono::system_clock;

system_clock::time_point at(std::int64_t milliseconds) {
  return system_clock::time_point(std::chrono::milliseconds(milliseconds));
}

TEST(TimeText, IsRfc3339InUtc) {
  struct Case {
    std::int64_t ms;
    const char* seconds;
    const char* milliseconds;
  };
  const Case cases[] = {
      {0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"},
      {951782399999, "2000-02-28T23:59:59Z", "2000-02-28T23:59:59.999Z"},
      {951782400000, "2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"},
      {1793862489250, "2026-11-05T07:08:09Z", "2026-11-05T07:08:09.250Z"},
      {1767225600007, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.007Z"},
      {-1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(rfc3339_seconds(at(c.ms)), c.seconds);
    EXPECT_EQ(rfc3339_milliseconds(at(c.ms)), c.milliseconds);
  }
}

}  // namespace
}  // namespace plumb
