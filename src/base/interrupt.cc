#include "base/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/check.h"

namespace plumb {
namespace {

constexpr int kGiveUp = 10;
constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells count

std::atomic<int> g_count{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

void count(int) {
  if (g_count.fetch_add(1, std::memory_order_relaxed) + 1 >= kGiveUp) ::_exit(kExitInterrupted);
}

}  // namespace

void install_interrupt_counter() {
  struct sigaction action {};
  action.sa_handler = count;
  sigemptyset(&action.sa_mask);
  PLUMB_CHECK(::sigaction(SIGINT, &action, nullptr) == 0);
}

void note_interrupt() { g_count.fetch_add(1, std::memory_order_relaxed); }

int interrupt_count() { return g_count.load(std::memory_order_relaxed); }

void clear_interrupts() { g_count.store(0, std::memory_order_relaxed); }

}  // namespace plumb
