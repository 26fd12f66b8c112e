#include "core/base/task_thread.h"

#include <gtest/gtest.h>

#include <csignal>

#include <atomic>
#include <stdexcept>

namespace fraud {
namespace {

TEST(TaskThread, DoesOneTaskAfterTheOther) {
  TaskThread thread;
  int sum = 0;
  for (int i = 1; i <= 1000; ++i) {
    thread.start([&sum, i] { sum += i; });
    thread.wait();
    ASSERT_EQ(sum, i * (i + 1) / 2);
  }
  thread.wait();  // for nothing
}

TEST(TaskThread, ThrowsWhatTheTaskThrew) {
  TaskThread thread;
  thread.start([] { throw std::runtime_error("no"); });
  EXPECT_THROW(thread.wait(), std::runtime_error);
  int done = 0;
  thread.start([&] { done = 1; });
  thread.wait();
  EXPECT_EQ(done, 1);
}

TEST(TaskThread, EndsItsTaskBeforeItGoes) {
  std::atomic<bool> go{false}, done{false};
  {
    TaskThread thread;
    thread.start([&] {
      while (!go) {
      }
      done = true;
    });
    go = true;
  }
  EXPECT_TRUE(done);
}

// Signals are for the thread that owns it.
TEST(TaskThread, BlocksSignals) {
  TaskThread thread;
  int blocked = 0;
  thread.start([&] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (int number : {SIGINT, SIGTERM, SIGUSR1, SIGALRM}) blocked += sigismember(&mask, number);
  });
  thread.wait();
  EXPECT_EQ(blocked, 4);
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGINT), 0);
}

}  // namespace
}  // namespace fraud
