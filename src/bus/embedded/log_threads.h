#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace flux::bus::embedded {

/// Something that log threads work on, by one thread at a time.
class Workable {
 public:
  virtual ~Workable() = default;
  virtual void work() = 0;
};

/// The threads that write and sync. Each takes the partition that has waited longest.
class LogThreads {
 public:
  explicit LogThreads(std::size_t count);
  /// Finishes what was handed in.
  ~LogThreads();
  LogThreads(const LogThreads&) = delete;
  LogThreads& operator=(const LogThreads&) = delete;

  /// Has `item` worked on soon. An item is handed in again only once its `work` has begun to end.
  void hand_in(Workable& item);
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Workable*> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace flux::bus::embedded
