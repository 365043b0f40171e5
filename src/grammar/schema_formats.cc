#include "grammar/schema_formats.h"

#include <iterator>

namespace plumb::grammar {
namespace {

struct Format {
  std::string_view name, pattern;
};

// Narrower than the standards where those are wide: no leap seconds, no 29th of February, no
// addresses that only few programs take. Lengths are bounded, so that none is without end.
constexpr Format kFormats[] = {
    {"date",
     "[1-9][0-9]{3}-((01|03|05|07|08|10|12)-(0[1-9]|[12][0-9]|3[01])|(04|06|09|11)-(0[1-9]|[12][0-"
     "9]|30)|"
     "02-(0[1-9]|1[0-9]|2[0-8]))"},
    {"time",
     "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+\\-]([01][0-9]|2[0-3]):[0-5][0-"
     "9])"},
    {"date-time",
     "[1-9][0-9]{3}-((01|03|05|07|08|10|12)-(0[1-9]|[12][0-9]|3[01])|(04|06|09|11)-(0[1-9]|[12][0-"
     "9]|30)|"
     "02-(0[1-9]|1[0-9]|2[0-8]))T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?"
     "(Z|[+\\-]([01][0-9]|2[0-3]):[0-5][0-9])"},
    {"duration",
     "P([0-9]{1,3}[WDMY]|[0-9]{1,3}DT[0-9]{1,2}H|T([0-9]{1,3}H|[0-9]{1,2}H[0-9]{1,2}M|[0-9]{1,4}["
     "MS]))"},
    {"email",
     "[A-Za-z0-9_+\\-]{1,30}(\\.[A-Za-z0-9_+\\-]{1,20}){0,2}@[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,10})?"
     "(\\.[A-Za-z]{2,10}){1,3}"},
    {"hostname", "[a-z0-9]{1,20}(-[a-z0-9]{1,20})?(\\.[a-z][a-z0-9]{0,20}(-[a-z0-9]{1,10})?){0,4}"},
    {"ipv4",
     "((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9]"
     ")"},
    {"ipv6", "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|::1|([0-9a-f]{1,4}:){1,6}:[0-9a-f]{1,4}"},
    {"uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"},
    {"uri",
     "https?://[a-z0-9]{1,20}(-[a-z0-9]{1,20})?(\\.[a-z][a-z0-9]{0,20}){0,4}(:[1-9][0-9]{1,3})?"
     "(/[A-Za-z0-9_.~\\-]{0,40}){0,8}(\\?[A-Za-z0-9_.~=&\\-]{1,60})?(#[A-Za-z0-9_.\\-]{1,30})?"},
};

}  // namespace

std::string_view format_pattern(std::string_view format) {
  for (const Format& known : kFormats) {
    if (known.name == format) return known.pattern;
  }
  return {};
}

}  // namespace plumb::grammar
