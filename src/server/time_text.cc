#include "server/time_text.h"

#include <cstdio>

namespace plumb {
namespace {

using std::chrono::milliseconds;

std::string date_and_time(std::chrono::sys_time<milliseconds> time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<milliseconds> clock(time - day);
  char text[48];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

}  // namespace

std::string rfc3339_seconds(std::chrono::system_clock::time_point time) {
  return date_and_time(std::chrono::floor<milliseconds>(time)) + "Z";
}

std::string rfc3339_milliseconds(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<milliseconds>(time);
  const auto part = whole - std::chrono::floor<std::chrono::seconds>(whole);
  char text[8];
  std::snprintf(text, sizeof text, ".%03dZ", static_cast<int>(part.count()));
  return date_and_time(whole) + text;
}

}  // namespace plumb
