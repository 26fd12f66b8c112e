// A thread that does one task after another for the thread that owns it. It blocks all
// signals, which are the owner's.
#pragma once

#include "core/base/guard.h"

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace fraud {

class TaskThread {
 public:
  TaskThread() = default;
  ~TaskThread();  // waits for the task
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  // Begins a task, once the one before was waited for. The thread is made with the first.
  void start(std::function<void()> task);
  // Waits for its end; throws what it threw. Without a task there is nothing to wait for.
  void wait();

 private:
  void run();

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> task_;
  std::exception_ptr error_;
  bool busy_ = false, ending_ = false;
};

}  // namespace fraud
