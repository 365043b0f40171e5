#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"

namespace plumb {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSilence{500};  // work this short needs no report
constexpr int kBarWidth = 24;

std::string amount(std::uint64_t value, const ProgressUnit& unit) {
  return unit.bytes ? bytes_text(value) : grouped(value);
}

int columns_of(std::FILE* stream) {
  winsize size{};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

ProgressStyle progress_style_for(std::FILE* stream) {
  return ::isatty(::fileno(stream)) != 0 ? ProgressStyle::kBar : ProgressStyle::kLines;
}

std::string progress_text(const std::string& label, std::uint64_t done, std::uint64_t total,
                          double elapsed_s, const ProgressUnit& unit, int width) {
  const double speed = elapsed_s > 0 ? static_cast<double>(done) / elapsed_s : 0;
  const std::string name = unit.bytes ? "" : str(" ", unit.name);
  std::string out = label + ' ';
  if (total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    if (width > 0) {
      const auto full = static_cast<std::size_t>(share * kBarWidth);
      out += str('[', std::string(full, '#'), std::string(kBarWidth - full, '.'), "] ");
    }
    out += str(static_cast<int>(share * 100), "% ", amount(done, unit), " of ", amount(total, unit),
               name);
  } else {
    out += amount(done, unit) + name;
  }
  if (speed > 0) {
    out += str(", ", amount(static_cast<std::uint64_t>(speed + 0.5), unit), "/s");
    if (done < total) {
      out += str(", ", duration_text(static_cast<double>(total - done) / speed), " left");
    }
  }
  if (width > 0 && out.size() > static_cast<std::size_t>(width)) {
    out.resize(static_cast<std::size_t>(width));
  }
  return out;
}

Progress::Progress(std::string label, std::uint64_t total, ProgressUnit unit, ProgressStyle style,
                   std::FILE* stream)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      style_(style),
      stream_(stream),
      next_(start_ + kSilence) {}

Progress::~Progress() { finish(); }

void Progress::update(std::uint64_t done) {
  done_ = done;
  if (style_ == ProgressStyle::kQuiet || finished_) return;
  const Clock::time_point now = Clock::now();
  if (now < next_) return;
  report(now);
  next_ = now + (style_ == ProgressStyle::kBar ? milliseconds(100) : milliseconds(2000));
}

void Progress::report(Clock::time_point now) {
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  if (style_ == ProgressStyle::kBar) {
    // One column stays free: a full line would wrap on some terminals. \033[K wipes what is left.
    const std::string text =
        progress_text(label_, done_, total_, elapsed, unit_, columns_of(stream_) - 1);
    std::fprintf(stream_, "\r%s\033[K", text.c_str());
  } else {
    const std::string text = progress_text(label_, done_, total_, elapsed, unit_, 0);
    std::fprintf(stream_, "%s\n", text.c_str());
  }
  std::fflush(stream_);
  shown_ = true;
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (!shown_) return;
  if (style_ == ProgressStyle::kBar) {
    std::fputs("\r\033[K", stream_);
    std::fflush(stream_);
  } else {
    report(Clock::now());
  }
}

}  // namespace plumb
