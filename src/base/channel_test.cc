#include "base/channel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace plumb {
namespace {

TEST(Channel, RefusesWhenFullAndDrainsAfterClose) {
  Channel<std::unique_ptr<int>> channel(2);
  EXPECT_TRUE(channel.try_push(std::make_unique<int>(1)));
  EXPECT_TRUE(channel.try_push(std::make_unique<int>(2)));
  EXPECT_FALSE(channel.try_push(std::make_unique<int>(3)));
  EXPECT_EQ(**channel.try_pop(), 1);
  EXPECT_FALSE(channel.closed());
  channel.close();
  EXPECT_TRUE(channel.closed());
  EXPECT_FALSE(channel.try_push(std::make_unique<int>(4)));
  EXPECT_EQ(**channel.pop(), 2);
  EXPECT_EQ(channel.pop(), std::nullopt);
  EXPECT_EQ(channel.try_pop(), std::nullopt);
}

TEST(Channel, ManyProducersEachKeepTheirOrder) {
  constexpr int kProducers = 3, kItems = 2000;
  Channel<int> channel(64);
  std::vector<std::jthread> producers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&channel, p] {
      for (int i = 0; i < kItems; ++i) {
        while (!channel.try_push(p * kItems + i)) std::this_thread::yield();
      }
    });
  }
  std::vector<int> next(kProducers, 0);
  for (int i = 0; i < kProducers * kItems; ++i) {
    const auto item = channel.pop();
    ASSERT_TRUE(item);
    const auto producer = static_cast<std::size_t>(*item / kItems);
    ASSERT_EQ(*item % kItems, next[producer]++);
  }
  EXPECT_EQ(channel.try_pop(), std::nullopt);
}

TEST(Channel, AStopOrACloseEndsAWait) {
  Channel<int> channel(1);
  std::atomic<int> ended{0};
  std::jthread stopped([&](std::stop_token stop) {
    if (!channel.pop(stop)) ++ended;
  });
  stopped.request_stop();
  stopped.join();
  EXPECT_EQ(ended.load(), 1);
  std::jthread closed([&] {
    if (!channel.pop()) ++ended;
  });
  channel.close();
  closed.join();
  EXPECT_EQ(ended.load(), 2);
}

TEST(Channel, TheWakerRunsForEveryPushAndForClose) {
  Channel<int> channel(4);
  int woken = 0;
  channel.try_push(1);
  channel.set_waker([&] { ++woken; });
  EXPECT_EQ(woken, 1);  // something was there already
  channel.try_push(2);
  EXPECT_EQ(woken, 2);
  channel.close();
  channel.close();
  EXPECT_EQ(woken, 3);
  channel.try_push(3);
  EXPECT_EQ(woken, 3);
}

}  // namespace
}  // namespace plumb
