#include "runtime/workers.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

namespace flux::runtime {

struct Workers::Impl {
  struct Worker {
    std::thread thread;
    bool ended = false;
  };

  Impl(std::size_t threads, std::size_t queue_limit, std::string pool_name)
      : limit(queue_limit), wanted(std::max<std::size_t>(threads, 1)), name(std::move(pool_name)) {}

  mutable std::mutex mutex;
  std::condition_variable work_there;
  std::deque<std::move_only_function<void()>> queue;
  const std::size_t limit;
  const std::size_t wanted;
  const std::string name;
  bool stopping = false;
  std::list<Worker> workers;  // an element stays where it is
  std::size_t alive = 0;      // threads that have not decided to end
  std::size_t waiting = 0;    // of these, in a task that waits
  std::size_t started = 0;

  /// Under the mutex.
  void start_one() {
    std::erase_if(workers, [](Worker& worker) {
      if (worker.ended) worker.thread.join();  // it holds the mutex no more and is about to return
      return worker.ended;
    });
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    Worker& worker = workers.emplace_back();
    worker.thread = std::thread([this, &worker] { run(worker); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(worker.thread.native_handle(), (name + "-" + std::to_string(started++)).substr(0, 15).c_str());
    ++alive;
  }

  void run(Worker& self) {
    for (;;) {
      std::move_only_function<void()> work;
      {
        std::unique_lock lock(mutex);
        work_there.wait(lock, [&] { return stopping || !queue.empty() || alive - waiting > wanted; });
        const bool one_too_many = alive - waiting > wanted;
        if (one_too_many || queue.empty()) {
          self.ended = true;
          --alive;
          // The notice of new work may have come to this one.
          if (one_too_many && !queue.empty()) work_there.notify_one();
          return;
        }
        work = std::move(queue.front());
        queue.pop_front();
      }
      work();
    }
  }
};

Workers::Workers(std::size_t threads, std::size_t queue_limit, const std::string& name)
    : impl_(std::make_unique<Impl>(threads, queue_limit, name)) {
  const std::lock_guard lock(impl_->mutex);
  for (std::size_t i = 0; i < impl_->wanted; ++i) impl_->start_one();
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

std::optional<Workers::Waiting> Workers::begin_waiting() {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->waiting >= kMostWaiting) return std::nullopt;
  ++impl_->waiting;
  if (!impl_->stopping && impl_->alive - impl_->waiting < impl_->wanted) impl_->start_one();
  return std::optional<Waiting>(std::in_place, *this);
}

Workers::Waiting::~Waiting() {
  if (workers_ == nullptr) return;
  Impl& impl = *workers_->impl_;
  {
    const std::lock_guard lock(impl.mutex);
    --impl.waiting;
  }
  impl.work_there.notify_one();  // one may be too many now
}

std::size_t Workers::queued() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->queue.size();
}

std::size_t Workers::threads() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->alive - impl_->waiting;
}

void Workers::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->work_there.notify_all();
  // No thread is started any more, so the list stays as it is.
  for (auto& worker : impl_->workers) {
    if (worker.thread.joinable()) worker.thread.join();
  }
}

}  // namespace flux::runtime
