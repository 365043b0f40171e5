#include "base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace plumb {
namespace {

TEST(Interrupt, CountsAndClears) {
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGINT, nullptr, &before), 0);
  install_interrupt_counter();
  EXPECT_FALSE(interrupted());
  ::raise(SIGINT);
  ::raise(SIGINT);
  EXPECT_EQ(interrupt_count(), 2);
  clear_interrupts();
  EXPECT_FALSE(interrupted());
  ASSERT_EQ(::sigaction(SIGINT, &before, nullptr), 0);
}

TEST(InterruptDeathTest, TenUnseenPressesEndTheProgram) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto press = [](int times) {
    install_interrupt_counter();
    for (int i = 0; i < times; ++i) ::raise(SIGINT);
    ::_exit(0);
  };
  EXPECT_EXIT(press(9), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(press(10), ::testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace plumb
