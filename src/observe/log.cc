#include "observe/log.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <string>
#include <thread>

namespace flux::log {

namespace {

/// Lines waiting for a slow output; beyond it they are dropped.
constexpr std::size_t kMaxPendingBytes = 4 << 20;

/// Writes all of `bytes`, waiting where the output is full; gives up on an error, for there is nobody to tell.
void write_fully(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

class Writer {
 public:
  Result<> start(const Config& config) {
    int fd = STDERR_FILENO;
    if (config.output == "stdout") {
      fd = STDOUT_FILENO;
    } else if (config.output != "stderr") {
      fd = ::open(config.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
      if (fd < 0) return fail_errno("cannot open the log file " + config.output, errno);
    }
    stop();
    fd_ = fd;
    const bool terminal = ::isatty(fd) == 1;
    format_ = config.format != Format::automatic ? config.format : terminal ? Format::console : Format::json;
    colour_ = terminal && std::getenv("NO_COLOR") == nullptr;
    detail::threshold.store(config.level, std::memory_order_relaxed);
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = false;
      running_ = true;
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      if (!running_) return;
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    const std::scoped_lock lock(mutex_);
    running_ = false;
    if (fd_ > STDERR_FILENO) ::close(fd_);
    fd_ = STDERR_FILENO;
  }

  void write(Level level, std::string_view sentence, FieldList fields, std::uint64_t suppressed) {
    std::string line = format_line(format_, colour_, wall_now(), level, sentence, fields, suppressed);
    line += '\n';
    {
      const std::scoped_lock lock(mutex_);
      if (!running_) {
        write_fully(STDERR_FILENO, line);
        return;
      }
      if (pending_.size() + line.size() > kMaxPendingBytes) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      pending_ += line;
      if (waiting_) wake_.notify_one();
    }
  }

  void flush() {
    std::unique_lock lock(mutex_);
    flushed_.wait(lock, [this] { return !running_ || (pending_.empty() && !writing_); });
  }

  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  /// From a signal handler: the process is about to die. Waits a little for the thread, then writes the rest itself.
  void write_rest_in_handler() {
    for (int attempt = 0; attempt < 200; ++attempt) {
      if (mutex_.try_lock()) {
        if (!writing_) {
          if (running_) write_fully(fd_, pending_);
          return;  // keeps the lock: nobody shall write the same lines again
        }
        mutex_.unlock();
      }
      const timespec millisecond{.tv_sec = 0, .tv_nsec = 1'000'000};
      ::nanosleep(&millisecond, nullptr);
    }
  }

 private:
  void run() {
    std::string batch;
    std::unique_lock lock(mutex_);
    for (;;) {
      waiting_ = true;
      wake_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
      waiting_ = false;
      if (pending_.empty()) break;
      std::swap(batch, pending_);
      writing_ = true;
      lock.unlock();
      write_fully(fd_, batch);
      report_drops();
      batch.clear();
      lock.lock();
      writing_ = false;
      flushed_.notify_all();
    }
    flushed_.notify_all();
  }

  void report_drops() {
    const std::uint64_t now = dropped();
    if (now == reported_) return;
    const std::string line = format_line(format_, colour_, wall_now(), Level::warn,
                                         "log lines dropped, the output is too slow", {{"lines", now - reported_}});
    reported_ = now;
    write_fully(fd_, line + "\n");
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable flushed_;
  std::string pending_;
  bool running_ = false;
  bool stopping_ = false;
  bool waiting_ = false;
  bool writing_ = false;
  std::atomic<std::uint64_t> dropped_{0};
  std::uint64_t reported_ = 0;
  int fd_ = STDERR_FILENO;
  Format format_ = ::isatty(STDERR_FILENO) == 1 ? Format::console : Format::json;
  bool colour_ = false;
  std::thread thread_;
};

/// Never destroyed: something may log as late as it likes.
Writer& writer() {
  static Writer* const instance = new Writer;
  return *instance;
}

extern "C" void on_fatal_signal(int signal_number) {
  writer().write_rest_in_handler();
  ::raise(signal_number);  // SA_RESETHAND put the default back, which ends the process with the right status
}

void watch_fatal_signals() {
  for (const int signal_number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    struct sigaction present = {};
    ::sigaction(signal_number, nullptr, &present);
    if ((present.sa_flags & SA_SIGINFO) != 0 || present.sa_handler != SIG_DFL) continue;  // a sanitizer's
    struct sigaction action = {};
    action.sa_handler = on_fatal_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    ::sigaction(signal_number, &action, nullptr);
  }
}

}  // namespace

bool Throttle::pass(Duration now, std::uint64_t& suppressed) {
  std::int64_t next = next_ns_.load(std::memory_order_relaxed);
  const bool due = now.ns >= next;
  if (!due || !next_ns_.compare_exchange_strong(next, now.ns + interval_.ns, std::memory_order_relaxed)) {
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  suppressed = suppressed_.exchange(0, std::memory_order_relaxed);
  return true;
}

namespace detail {

void write(Level level, std::string_view sentence, FieldList fields, std::uint64_t suppressed) {
  writer().write(level, sentence, fields, suppressed);
}

void write(Throttle& throttle, Level level, std::string_view sentence, FieldList fields) {
  std::uint64_t suppressed = 0;
  if (throttle.pass(monotonic_now(), suppressed)) writer().write(level, sentence, fields, suppressed);
}

}  // namespace detail

Result<> start(const Config& config) {
  DO(writer().start(config));
  static std::once_flag once;
  std::call_once(once, [] {
    watch_fatal_signals();
    std::atexit(stop);
  });
  return {};
}

void flush() { writer().flush(); }
void stop() { writer().stop(); }
std::uint64_t dropped() { return writer().dropped(); }

}  // namespace flux::log
