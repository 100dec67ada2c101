#include "runtime/workers.h"

#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace flux::runtime {

struct Workers::Impl {
  mutable std::mutex mutex;
  std::condition_variable work_there;
  std::deque<std::move_only_function<void()>> queue;
  std::size_t limit = 0;
  bool stopping = false;
  std::vector<std::thread> threads;

  void run() {
    for (;;) {
      std::move_only_function<void()> work;
      {
        std::unique_lock lock(mutex);
        work_there.wait(lock, [&] { return stopping || !queue.empty(); });
        if (queue.empty()) return;
        work = std::move(queue.front());
        queue.pop_front();
      }
      work();
    }
  }
};

Workers::Workers(std::size_t threads, std::size_t queue_limit, const std::string& name)
    : impl_(std::make_unique<Impl>()) {
  impl_->limit = queue_limit;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->run(); });
    const auto thread_name = (name + "-" + std::to_string(i)).substr(0, 15);
    pthread_setname_np(impl_->threads.back().native_handle(), thread_name.c_str());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Workers::~Workers() { stop(); }

bool Workers::try_submit(std::move_only_function<void()> work) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopping || impl_->queue.size() >= impl_->limit) return false;
    impl_->queue.push_back(std::move(work));
  }
  impl_->work_there.notify_one();
  return true;
}

std::size_t Workers::queued() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->queue.size();
}

std::size_t Workers::threads() const { return impl_->threads.size(); }

void Workers::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->work_there.notify_all();
  for (auto& thread : impl_->threads) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace flux::runtime
