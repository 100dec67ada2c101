#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "net/address.h"
#include "net/shared_bytes.h"
#include "net/stats.h"
#include "runtime/async.h"
#include "runtime/shard.h"

namespace flux::net {

enum class CloseReason : std::uint8_t {
  local,          ///< we called close(), and everything was flushed
  peer,           ///< the peer closed or reset
  idle_timeout,   ///< nothing was read for `idle_timeout`
  write_timeout,  ///< the peer took none of our bytes for `write_timeout`
  overflow,       ///< unconsumed input passed `max_unconsumed`
  aborted,        ///< abort(), or the server stopped
  moved,          ///< move_to(): the socket lives on elsewhere
  error,          ///< the operating system reported an error
};
std::string_view to_string(CloseReason reason);

class BodyBudget;
class TcpConnection;

/// One side of a conversation: made by the server's factory for each connection, called on the connection's shard.
class TcpHandler {
 public:
  virtual ~TcpHandler() = default;

  /// The connection is ready: the first call.
  virtual void on_open(TcpConnection& /*connection*/) {}

  /// Everything that was read and not yet consumed. Returns how many bytes it has used; the rest is shown again, with
  /// more behind it, at the next read or after `resume_reading`. The span ends with the call.
  virtual std::size_t on_data(TcpConnection& connection, std::span<const std::byte> data) = 0;

  /// The last call; the connection is gone when it returns.
  virtual void on_closed(TcpConnection& connection, CloseReason reason) = 0;

  /// The buffered output has fallen to the low water mark after having been above the high one.
  virtual void on_writable(TcpConnection& /*connection*/) {}

  /// The peer will send nothing more (it may still read), and all it sent has been shown. True: the handler goes on and
  /// closes when it is done; false (default): close after flushing.
  virtual bool on_peer_finished(TcpConnection& /*connection*/) { return false; }

  /// What has come of something that is not yet whole finds no room in `TcpOptions::unconsumed`. `own`: for what this
  /// one address holds. Must close, or the default ends the connection with `overflow`.
  virtual void on_no_room(TcpConnection& connection, bool own);

  /// The time given to `set_deadline` is over. Default: end with `idle_timeout`.
  virtual void on_deadline(TcpConnection& connection);

  /// The server is draining: finish what is under way and close. Default: close after flushing.
  virtual void on_drain(TcpConnection& connection);
};

struct TcpOptions {
  std::size_t max_connections = 100'000;
  std::size_t max_connections_per_peer = 10'000;  ///< by IP address
  bool limit_loopback = false;                    ///< the limit for each peer holds for this machine too
  Duration idle_timeout = {};                     ///< 0: none; a connection may set its own
  Duration write_timeout = 30_s;                  ///< longest time without the peer taking any byte
  Duration linger_time = 2_s;                     ///< after our close: how long a peer may go on sending
  Duration drain_grace = 3_s;                     ///< while draining: how long a peer may take nothing of our bytes
  std::size_t high_water = 1_MiB;                 ///< buffered output above this pauses reading
  std::size_t low_water = 256_KiB;                ///< and at or below this resumes it
  std::size_t max_unconsumed = 64_MiB;            ///< a guard: handlers keep their own, smaller limits
  /// Room for what all connections have unconsumed beyond a few KiB each; null: any.
  std::shared_ptr<BodyBudget> unconsumed;
  int backlog = 4096;
  bool reuse_address = true;
  std::string refusal;  ///< written to a connection that is over a limit before it is closed; may be empty
};

/// A byte channel over a connected descriptor. Plain TCP today; TLS is another implementation of it.
class Transport {
 public:
  enum class Status : std::uint8_t { ok, would_block, end, failed };
  struct Outcome {
    Status status;
    std::size_t bytes;
  };
  struct Slice {
    const void* data;
    std::size_t size;
  };

  virtual ~Transport() = default;
  virtual Outcome read(std::span<std::byte> into) = 0;
  virtual Outcome write(std::span<const Slice> slices) = 0;
  /// Says that we send no more; the descriptor stays open for reading.
  virtual void finish() = 0;
};

/// A connected socket: owned by its shard, touched only there. Exists from the factory call until `on_closed` returns.
class TcpConnection {
 public:
  TcpConnection(const TcpConnection&) = delete;
  TcpConnection& operator=(const TcpConnection&) = delete;

  /// Copies `data` behind what is buffered; all writes of a turn leave with one system call at its end. Never blocks,
  /// never fails: after the connection has ended it does nothing.
  void write(std::span<const std::byte> data);
  void write(std::string_view data);
  /// Keeps a reference instead of a copy (small ones are copied all the same).
  void write(SharedBytes data);
  void write(SharedBytes data, std::string_view part);  ///< `part` lies inside `*data`

  /// Written and not yet taken by the kernel.
  [[nodiscard]] std::size_t buffered_bytes() const;
  [[nodiscard]] bool above_high_water() const;

  /// While paused no data is read or shown. Calls nest with nothing: it is one switch. The back-pressure of the water
  /// marks is separate from it; data is read when neither holds it.
  void pause_reading();
  /// Unconsumed data is shown again, in a later call, never inside this one.
  void resume_reading();

  /// Flushes, tells the peer that nothing more follows, reads and discards until it closes (at most `linger_time`, so
  /// that our last words are not lost to a reset), then `on_closed(local)`. No more data is shown.
  void close();
  /// Ends now and drops what is buffered. `on_closed` comes in a later call. The peer sees a reset.
  void abort(CloseReason reason = CloseReason::aborted);
  [[nodiscard]] bool closing() const;

  /// Hands the socket to another shard of the server, together with all that `on_data` has not consumed: there the
  /// factory makes a new handler, which is shown those bytes first. This handler's last call is `on_closed(moved)`. For
  /// connections of a `TcpServer` that have written nothing yet, from within `on_data`.
  void move_to(runtime::Shard& shard);

  /// 0 switches it off. Counted from the last byte read.
  void set_idle_timeout(Duration timeout);
  /// `on_deadline` comes once, `from_now` later; 0 takes it back. One per connection: the last one counts. Accurate to
  /// a quarter of the shortest time in use on the shard (5 to 250 ms).
  void set_deadline(Duration from_now);
  void set_water_marks(std::size_t low, std::size_t high);

  [[nodiscard]] const Address& peer() const;
  [[nodiscard]] const Address& local() const;
  [[nodiscard]] runtime::Shard& shard() const;
  [[nodiscard]] NetStats& stats() const;
  [[nodiscard]] std::uint64_t id() const;  ///< unique within the process
  [[nodiscard]] bool draining() const;     ///< the server drains

  /// For this room's own files.
  class Impl;

 private:
  TcpConnection() = default;
  ~TcpConnection() = default;
  friend class Impl;
};

/// A listening TCP port whose connections are spread over the shards.
///
/// One acceptor (on the first shard) hands each socket to the shard with the fewest open connections. SO_REUSEPORT
/// would hash them instead: with the few, long and busy connections that gateways and brokers hold, a hash leaves one
/// core idle while the other is full, port 0 would need care to get one port, and limits would have to be shared.
///
///   struct Echo : TcpHandler {
///     std::size_t on_data(TcpConnection& connection, std::span<const std::byte> data) override {
///       connection.write(data);                          // leaves at the end of this turn
///       return data.size();
///     }
///     void on_closed(TcpConnection&, CloseReason) override {}
///   };
///   TcpServer server(shards, {.idle_timeout = 60_s}, [](TcpConnection&) { return std::make_shared<Echo>(); });
///   DO(server.listen("127.0.0.1", 0));                   // server.address().port
///   ...
///   CO_DO(co_await server.drain(10_s));
///   server.stop();
class TcpServer {
 public:
  /// Called on the connection's shard, from all shards at the same time: share nothing mutable.
  using Factory = std::function<std::shared_ptr<TcpHandler>(TcpConnection&)>;

  /// `shards` run (or are started later) and outlive the server.
  TcpServer(runtime::Shards& shards, TcpOptions options, Factory factory);
  ~TcpServer();  ///< as `stop`; on a shard only after `close`
  TcpServer(const TcpServer&) = delete;
  TcpServer& operator=(const TcpServer&) = delete;

  /// Binds (port 0: the kernel chooses) and accepts. May be called for several addresses. From any thread that is no
  /// shard, or from the first shard. Errors name the address.
  Result<> listen(std::string_view host, std::uint16_t port);
  /// Of the first `listen`.
  [[nodiscard]] Address address() const;
  [[nodiscard]] std::vector<Address> addresses() const;

  /// Stops accepting and tells every handler; waits until all connections are gone or `limit` is over (`timed_out`:
  /// the rest is still open). On a shard.
  Async<void> drain(Duration limit);
  /// Closes the port and aborts all connections; returns when every `on_closed` has run. From a thread that is no
  /// shard while the shards run, or after they have been joined.
  void stop();
  /// As `stop`, from a coroutine on a shard.
  Async<void> close();

  [[nodiscard]] std::size_t connections() const;
  /// One per shard, by shard index. Valid while the server lives.
  [[nodiscard]] std::vector<const NetStats*> stats() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

/// Outgoing connections with the same handlers.
class TcpClient {
 public:
  explicit TcpClient(runtime::Shards& shards, TcpOptions options = {});
  ~TcpClient();  ///< as `stop`; on a shard only after `close`
  TcpClient(const TcpClient&) = delete;
  TcpClient& operator=(const TcpClient&) = delete;

  /// Connects on the current shard; `handler->on_open` is called before it returns. `unavailable` with errno's text
  /// when refused, `timed_out` after `timeout`.
  Async<void> connect(Address address, Duration timeout, std::shared_ptr<TcpHandler> handler);
  /// Aborts all connections; as TcpServer::stop and close.
  void stop();
  Async<void> close();

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace flux::net
