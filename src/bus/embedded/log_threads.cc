#include "bus/embedded/log_threads.h"

#include <pthread.h>

namespace flux::bus::embedded {

LogThreads::LogThreads(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    threads_.emplace_back([this] { run(); });
    pthread_setname_np(threads_.back().native_handle(), ("log-" + std::to_string(i)).c_str());
  }
}

LogThreads::~LogThreads() { stop(); }

void LogThreads::hand_in(Workable& item) {
  {
    const std::scoped_lock lock(mutex_);
    waiting_.push_back(&item);
  }
  changed_.notify_one();
}

void LogThreads::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void LogThreads::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;  // an item that another thread is at hands itself in before that thread comes back
    Workable* item = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    item->work();
    lock.lock();
  }
}

}  // namespace flux::bus::embedded
