// Random values there and back; longer and with other seeds under `make soak`.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iterator>
#include <string>

#include "base/json.h"
#include "base/random.h"
#include "base/soak_for_tests.h"
#include "base/utf8.h"

namespace plumb {
namespace {

class Source {
 public:
  explicit Source(std::uint64_t stream) : stream_(stream) {}
  std::uint64_t below(std::uint64_t limit) {
    return random_bits(soak_seed(), position_++, stream_) % limit;
  }

  std::string string() {
    std::string out;
    for (std::uint64_t n = below(6); n > 0; --n) {
      // Few and many bytes, controls, quotes and the backslash all come up often.
      constexpr char32_t kFrom[] = {0, 0x22, 0x5C, 0x61, 0x7F, 0xE9, 0x4E2D, 0xFFFD, 0x1F600};
      append_utf8(out, kFrom[below(std::size(kFrom))] + (below(2) == 0 ? below(0x1F) : 0));
    }
    return out;
  }

  Json number() {
    switch (below(3)) {
      case 0:
        return Json::integer(static_cast<std::int64_t>(below(~std::uint64_t{0})));
      case 1:
        return Json::real(std::ldexp(static_cast<double>(below(std::uint64_t{1} << 53)),
                                     static_cast<int>(below(2000)) - 1070));
      default:
        return Json::integer(-static_cast<std::int64_t>(below(1000)));
    }
  }

  Json value(int depth) {
    switch (below(depth > 0 ? 6 : 4)) {
      case 0:
        return Json();
      case 1:
        return Json::boolean(below(2) == 0);
      case 2:
        return number();
      case 3:
        return Json::string(string());
      case 4: {
        Json out = Json::array();
        for (std::uint64_t n = below(4); n > 0; --n) out.items().push_back(value(depth - 1));
        return out;
      }
      default: {
        Json out = Json::object();
        for (std::uint64_t n = below(4); n > 0; --n) out.set(string(), value(depth - 1));
        return out;
      }
    }
  }

 private:
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
};

TEST(Json, RandomValuesSurviveEveryWriter) {
  const int count = 2000 * soak_scale();
  for (int i = 0; i < count; ++i) {
    const Json value = Source(static_cast<std::uint64_t>(i)).value(5);
    const std::string text = value.dump();
    for (const std::string& written : {text, value.dump_pretty(), value.dump_python()}) {
      const auto back = parse_json(written, "written");
      ASSERT_TRUE(back) << back.error().message << "\n" << written;
      ASSERT_EQ(back->dump(), text) << "seed " << soak_seed() << ", value " << i;
    }
  }
}

TEST(Json, RandomDoublesReadBackTheSame) {
  const int count = 20000 * soak_scale();
  for (int i = 0; i < count; ++i) {
    const std::uint64_t bits = random_bits(soak_seed(), static_cast<std::uint64_t>(i), 77);
    double value;
    static_assert(sizeof value == sizeof bits);
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(Json::real(value).as_double(), value);
  }
}

}  // namespace
}  // namespace plumb
