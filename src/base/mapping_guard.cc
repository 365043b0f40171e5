#include "base/mapping_guard.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "base/check.h"
#include "base/mapped_file.h"

namespace plumb {
namespace {

// Entries are pushed and reused, never freed, so the handler can walk the list at any moment. An
// entry is live while `begin` is not null; `begin` is written last and cleared first.
struct Entry {
  std::atomic<const std::byte*> begin{nullptr};
  std::size_t size = 0;
  char* path = nullptr;
  Entry* next = nullptr;
};

std::atomic<Entry*> g_head{nullptr};
std::mutex g_mutex;
struct sigaction g_previous;

// Text assembled without allocation or stdio: the handler runs wherever the fault struck.
class Sentence {
 public:
  void add(const char* text) {
    while (*text != '\0' && length_ < sizeof text_) text_[length_++] = *text++;
  }
  void add(std::uint64_t value) {
    char digits[21];
    std::size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    add(digits + at);
  }
  void print() const {
    // Nothing can be done when stderr is gone.
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text_, length_);
  }

 private:
  char text_[4096 + 256];
  std::size_t length_ = 0;
};

void handle(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (Entry* entry = g_head.load(std::memory_order_acquire); entry != nullptr;
       entry = entry->next) {
    const auto begin =
        reinterpret_cast<std::uintptr_t>(entry->begin.load(std::memory_order_acquire));
    if (begin == 0 || address < begin || address - begin >= entry->size) continue;
    Sentence sentence;
    sentence.add("plumb: the file ");
    sentence.add(entry->path);
    sentence.add(" was truncated or its disk failed while it was being read (at byte ");
    sentence.add(address - begin);
    sentence.add(").\n");
    sentence.print();
    ::_exit(kExitFileFailed);
  }
  // Not one of our files: the instruction faults again under the handler that was there before.
  ::sigaction(SIGBUS, &g_previous, nullptr);
}

}  // namespace

void install_mapping_guard() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    PLUMB_CHECK(::sigaction(SIGBUS, &action, &g_previous) == 0);
  });
}

void* remember_mapping(const std::byte* begin, std::size_t size, const std::string& path) {
  const std::lock_guard lock(g_mutex);
  Entry* entry = g_head.load(std::memory_order_relaxed);
  while (entry != nullptr && entry->begin.load(std::memory_order_relaxed) != nullptr) {
    entry = entry->next;
  }
  if (entry == nullptr) {
    entry = new Entry;
    entry->next = g_head.load(std::memory_order_relaxed);
    g_head.store(entry, std::memory_order_release);
  }
  std::free(entry->path);
  entry->path = ::strdup(path.c_str());
  PLUMB_CHECK(entry->path != nullptr);
  entry->size = size;
  entry->begin.store(begin, std::memory_order_release);
  return entry;
}

void forget_mapping(void* entry) {
  const std::lock_guard lock(g_mutex);
  static_cast<Entry*>(entry)->begin.store(nullptr, std::memory_order_release);
}

}  // namespace plumb
