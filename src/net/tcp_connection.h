#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "net/body_budget.h"
#include "net/output_queue.h"
#include "net/tcp.h"
#include "runtime/completion.h"
#include "runtime/fd_watch.h"

namespace flux::net {

/// Closes its descriptor.
class UniqueFd {
 public:
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();
  [[nodiscard]] int get() const { return fd_; }
  void reset();

 private:
  int fd_;
};

std::unique_ptr<Transport> make_plain_transport(int fd);

class ConnectionSet;

/// The connections of a server or client on one shard: touched only there, except what is atomic.
struct ConnectionHome {
  ConnectionHome(ConnectionSet& owner, runtime::Shard& home) : set(owner), shard(home) {}

  void link(TcpConnection::Impl& connection);
  void unlink(TcpConnection::Impl& connection);
  /// A time-out of this length is in use: look at the clock often enough.
  void note_timeout(Duration timeout);
  void sweep();

  ConnectionSet& set;
  runtime::Shard& shard;
  NetStats stats;
  std::vector<TcpConnection::Impl*> connections;
  std::atomic<std::size_t> open = 0;  // with those on their way here; read by the acceptor
  runtime::Timer sweeper;
  Duration sweep_period = 250_ms;
};

/// All connections of a server or client, over all shards.
class ConnectionSet : public std::enable_shared_from_this<ConnectionSet> {
 public:
  ConnectionSet(runtime::Shards& shards, TcpOptions options);
  virtual ~ConnectionSet();

  ConnectionHome& home(std::size_t shard) { return *homes_[shard]; }
  ConnectionHome& least_loaded();
  [[nodiscard]] const TcpOptions& options() const { return options_; }
  [[nodiscard]] std::vector<const NetStats*> stats() const;
  [[nodiscard]] std::size_t total() const { return total_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_relaxed); }

  /// Counted from the accept to the end of the connection.
  void count_in() { total_.fetch_add(1, std::memory_order_relaxed); }
  virtual void count_out(const Address& peer);
  /// A connection of one shard goes on at another; its number in `target.open` is taken already.
  virtual void move_in(ConnectionHome& target, UniqueFd fd, const Address& peer, std::vector<std::byte> begun);

  /// Aborts all connections on all shards and waits (see TcpServer::stop).
  void stop();
  /// For destructors: `stop`, unless it has been stopped or closed, which is the only way to destroy it on a shard.
  void stop_if_needed();
  Async<void> close();
  Async<void> drain(Duration limit);

 protected:
  /// What ends first when stopping: the ports. On the first shard.
  virtual void stop_listening() {}
  runtime::Shards& shards_;

 private:
  runtime::Completion<> post_to_all(void (*task)(ConnectionSet&, ConnectionHome&));

  const TcpOptions options_;
  std::vector<std::unique_ptr<ConnectionHome>> homes_;
  std::atomic<std::size_t> total_ = 0;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::vector<runtime::Completion<>> waiting_for_none_;
};

class TcpConnection::Impl final : public TcpConnection, runtime::FdWatchOwner, runtime::TurnHook {
 public:
  Impl(ConnectionHome& home, UniqueFd fd, const Address& peer, const Address& local);
  ~Impl();

  /// Begins to read, with what was `begun` on another shard in front. Afterwards the connection deletes itself when it
  /// has ended.
  void start(std::shared_ptr<TcpHandler> handler, std::vector<std::byte> begun = {});
  void check_times(Duration now);
  void drain();
  /// Ends and deletes at once: only where no call of this connection is on the stack.
  void finish(CloseReason reason);

 private:
  friend class TcpConnection;
  friend struct ConnectionHome;

  void on_fd_events(std::uint32_t events) override;
  void on_turn_end() override;

  void read_some();
  void discard_some();
  void show(std::span<const std::byte> data);
  void show_unconsumed();
  void hold_unconsumed();
  void peer_finished();
  void flush();
  void sent_all();
  void after_write();
  void end(CloseReason reason);
  void update_interest();
  [[nodiscard]] bool reads_too_slowly(Duration now);
  void queue_turn_end() { home_.shard.at_turn_end(*this); }
  [[nodiscard]] bool reading() const { return !paused_ && !choked_ && !closing_ && !peer_finished_; }

  ConnectionHome& home_;
  ConnectionHome* moving_to_ = nullptr;
  UniqueFd fd_;
  std::unique_ptr<Transport> transport_;
  std::shared_ptr<TcpHandler> handler_;
  runtime::FdWatch watch_;
  OutputQueue output_;
  std::vector<std::byte> unconsumed_;  // what the handler has left, with room behind it to read into
  std::size_t unconsumed_size_ = 0;
  BodyShare unconsumed_share_;
  std::size_t low_water_;
  std::size_t high_water_;
  Duration idle_timeout_;
  Duration last_read_;
  Duration write_stuck_since_{};  // 0: not stuck
  Duration deadline_{};           // 0: none
  Duration drain_look_{};         // when we last looked how the peer reads; 0: not draining
  std::size_t drain_left_ = 0;    // what was buffered then
  std::size_t drain_taken_ = 0;   // and what the peer has taken since
  std::size_t list_index_ = 0;
  const std::uint64_t id_;
  const Address peer_;
  const Address local_;
  CloseReason reason_ = CloseReason::local;
  bool paused_ = false;         // by pause_reading
  bool choked_ = false;         // by the high water mark
  bool closing_ = false;        // close() was called
  bool finished_ = false;       // our end of stream is sent
  bool peer_finished_ = false;  // the peer's has come
  bool ended_ = false;          // nothing works any more; on_closed is due
  bool write_blocked_ = false;  // the kernel's buffer is full
  bool show_again_ = false;     // unconsumed data is to be shown at the end of the turn
};

}  // namespace flux::net
