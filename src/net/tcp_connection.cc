#include "net/tcp_connection.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace flux::net {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
/// A connection costs about as much anyhow.
constexpr std::size_t kFreeUnconsumedBytes = 4096;
constexpr std::size_t kSlices = 64;
/// While draining, a peer takes this much (or all there is) in each grace.
constexpr std::size_t kDrainProgress = 64 * 1024;

/// What a read goes into when nothing of an earlier one is left: one for all connections of a thread.
std::span<std::byte> read_buffer() {
  thread_local const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadBytes);
  return {buffer.get(), kReadBytes};
}

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last = 0;
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(int fd) : fd_(fd) {}

  Outcome read(std::span<std::byte> into) override {
    for (;;) {
      const ssize_t count = ::recv(fd_, into.data(), into.size(), 0);
      if (count > 0) return {Status::ok, static_cast<std::size_t>(count)};
      if (count == 0) return {Status::end, 0};
      if (errno == EINTR) continue;
      return {errno == EAGAIN || errno == EWOULDBLOCK ? Status::would_block : Status::failed, 0};
    }
  }

  Outcome write(std::span<const Slice> slices) override {
    static_assert(sizeof(Slice) == sizeof(iovec) && offsetof(Slice, data) == offsetof(iovec, iov_base) &&
                  offsetof(Slice, size) == offsetof(iovec, iov_len));
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(reinterpret_cast<const iovec*>(slices.data()));
    message.msg_iovlen = slices.size();
    for (;;) {
      const ssize_t count = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
      if (count >= 0) return {Status::ok, static_cast<std::size_t>(count)};
      if (errno == EINTR) continue;
      return {errno == EAGAIN || errno == EWOULDBLOCK ? Status::would_block : Status::failed, 0};
    }
  }

  void finish() override { ::shutdown(fd_, SHUT_WR); }

 private:
  const int fd_;
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(int fd) { return std::make_unique<PlainTransport>(fd); }

UniqueFd::~UniqueFd() { reset(); }

void UniqueFd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::string_view to_string(CloseReason reason) {
  switch (reason) {
    case CloseReason::local: return "local";
    case CloseReason::peer: return "peer";
    case CloseReason::idle_timeout: return "idle_timeout";
    case CloseReason::write_timeout: return "write_timeout";
    case CloseReason::overflow: return "overflow";
    case CloseReason::aborted: return "aborted";
    case CloseReason::moved: return "moved";
    case CloseReason::error: return "error";
  }
  return "error";
}

void TcpHandler::on_no_room(TcpConnection& connection, bool /*own*/) { connection.abort(CloseReason::overflow); }

void TcpHandler::on_deadline(TcpConnection& connection) { connection.abort(CloseReason::idle_timeout); }
void TcpHandler::on_drain(TcpConnection& connection) { connection.close(); }

TcpConnection::Impl::Impl(ConnectionHome& home, UniqueFd fd, const Address& peer, const Address& local)
    : home_(home),
      fd_(std::move(fd)),
      transport_(make_plain_transport(fd_.get())),
      low_water_(home.set.options().low_water),
      high_water_(home.set.options().high_water),
      idle_timeout_(home.set.options().idle_timeout),
      last_read_(home.shard.now()),
      id_(next_id()),
      peer_(peer),
      local_(local) {
  home_.link(*this);
  home_.stats.connections_accepted.add();
  home_.note_timeout(idle_timeout_);
  home_.note_timeout(home.set.options().write_timeout);
}

TcpConnection::Impl::~Impl() {
  watch_.remove();
  home_.shard.cancel_turn_end(*this);
}

void TcpConnection::Impl::start(std::shared_ptr<TcpHandler> handler, std::vector<std::byte> begun) {
  handler_ = std::move(handler);
  unconsumed_ = std::move(begun);
  unconsumed_size_ = unconsumed_.size();
  if (!watch_.add(home_.shard, fd_.get(), runtime::kFdRead, *this)) {
    end(CloseReason::error);
    return;
  }
  handler_->on_open(*this);
  if (unconsumed_size_ > 0) {
    show_again_ = true;
    queue_turn_end();
  }
  update_interest();
}

void TcpConnection::Impl::on_fd_events(std::uint32_t events) {
  if (ended_) return;
  if (events & runtime::kFdWrite) {
    write_blocked_ = false;
    flush();
    after_write();
    if (ended_) return;
  }
  if (finished_) {
    // Our last words are with the kernel; an early reset by us would take them from the peer.
    if (events & (runtime::kFdRead | runtime::kFdError)) discard_some();
  } else if (reading()) {
    if (events & (runtime::kFdRead | runtime::kFdError)) read_some();
  } else if (events & runtime::kFdError) {
    end(CloseReason::peer);
  }
  update_interest();
}

void TcpConnection::Impl::read_some() {
  const bool gathered = unconsumed_size_ > 0;
  std::span<std::byte> into;
  if (gathered) {
    if (unconsumed_size_ >= home_.set.options().max_unconsumed) return end(CloseReason::overflow);
    const std::size_t wanted = unconsumed_size_ + std::max(kReadBytes / 4, unconsumed_size_);
    if (unconsumed_.size() < unconsumed_size_ + kReadBytes / 8) unconsumed_.resize(wanted);
    into = std::span(unconsumed_).subspan(unconsumed_size_);
  } else {
    into = read_buffer();
  }
  const auto outcome = transport_->read(into);
  switch (outcome.status) {
    case Transport::Status::would_block: return;
    case Transport::Status::failed: return end(CloseReason::peer);
    case Transport::Status::end: return peer_finished();
    case Transport::Status::ok: break;
  }
  home_.stats.bytes_in.add(outcome.bytes);
  last_read_ = home_.shard.now();
  if (gathered) {
    unconsumed_size_ += outcome.bytes;
    show_unconsumed();
  } else {
    show(into.first(outcome.bytes));
  }
}

void TcpConnection::Impl::discard_some() {
  const auto outcome = transport_->read(read_buffer());
  if (outcome.status == Transport::Status::would_block) return;
  if (outcome.status != Transport::Status::ok) return end(CloseReason::local);
  home_.stats.bytes_in.add(outcome.bytes);
}

void TcpConnection::Impl::show(std::span<const std::byte> data) {
  const std::size_t used = handler_->on_data(*this, data);
  CHECK(used <= data.size());
  if ((ended_ && moving_to_ == nullptr) || used == data.size()) return;
  const auto rest = data.subspan(used);
  if (unconsumed_.size() < rest.size()) unconsumed_.resize(std::max(rest.size(), std::size_t{4096}));
  std::memcpy(unconsumed_.data(), rest.data(), rest.size());
  unconsumed_size_ = rest.size();
  hold_unconsumed();
}

void TcpConnection::Impl::hold_unconsumed() {
  const TcpOptions& options = home_.set.options();
  if (!options.unconsumed || moving_to_ != nullptr) return;
  if (unconsumed_size_ == 0 || unconsumed_.size() <= kFreeUnconsumedBytes) return unconsumed_share_.give_back();
  const Holder holder = holder_of(peer_, options.limit_loopback);
  if (unconsumed_share_.raise(options.unconsumed, unconsumed_.size(), holder)) return;
  handler_->on_no_room(*this, unconsumed_share_.is_holders_fault());
  unconsumed_size_ = 0;
  std::vector<std::byte>().swap(unconsumed_);
  unconsumed_share_.give_back();
}

void TcpConnection::Impl::show_unconsumed() {
  const std::size_t used = handler_->on_data(*this, std::span(unconsumed_).first(unconsumed_size_));
  CHECK(used <= unconsumed_size_);
  unconsumed_size_ -= used;
  if (unconsumed_size_ == 0) {
    // Most connections have nothing left most of the time: a large buffer is not kept for the next time.
    if (unconsumed_.size() > 16 * 1024) std::vector<std::byte>().swap(unconsumed_);
  } else if (used > 0) {
    std::memmove(unconsumed_.data(), unconsumed_.data() + used, unconsumed_size_);
  }
  if (!ended_) hold_unconsumed();
}

void TcpConnection::Impl::peer_finished() {
  peer_finished_ = true;
  if (closing_) {
    if (finished_) end(CloseReason::local);
    return;
  }
  if (handler_->on_peer_finished(*this)) return;
  if (ended_ || closing_) return;
  reason_ = CloseReason::peer;
  closing_ = true;
  queue_turn_end();
}

void TcpConnection::Impl::flush() {
  if (ended_ || write_blocked_) return;
  std::array<Transport::Slice, kSlices> slices;
  while (!output_.empty()) {
    const std::size_t count = output_.peek(slices);
    const auto outcome = transport_->write(std::span(slices).first(count));
    if (outcome.status == Transport::Status::would_block) {
      write_blocked_ = true;
      if (write_stuck_since_.ns == 0) write_stuck_since_ = home_.shard.now();
      return;
    }
    if (outcome.status != Transport::Status::ok) return end(CloseReason::peer);
    home_.stats.bytes_out.add(outcome.bytes);
    output_.consume(outcome.bytes);
    drain_taken_ += outcome.bytes;
    write_stuck_since_ = {};
  }
}

void TcpConnection::Impl::after_write() {
  if (ended_) return;
  if (choked_ && output_.size() <= low_water_) {
    choked_ = false;
    if (!closing_) {
      handler_->on_writable(*this);
      if (unconsumed_size_ > 0) show_again_ = true;
      queue_turn_end();
    }
  }
  if (closing_ && !finished_ && !ended_ && output_.empty()) sent_all();
}

void TcpConnection::Impl::sent_all() {
  finished_ = true;
  if (peer_finished_) return end(reason_);
  transport_->finish();
  // A peer that goes on sending or never closes gets this long.
  set_deadline(home_.set.options().linger_time);
}

void TcpConnection::Impl::on_turn_end() {
  if (!ended_ && show_again_) {
    show_again_ = false;
    if (reading() || (peer_finished_ && !paused_ && !closing_ && !choked_)) {
      if (unconsumed_size_ > 0) show_unconsumed();
    }
  }
  if (!ended_) {
    flush();
    after_write();
    update_interest();
  }
  if (ended_) finish(reason_);
}

void TcpConnection::Impl::end(CloseReason reason) {
  if (ended_) return;
  ended_ = true;
  reason_ = reason;
  if (reason == CloseReason::idle_timeout || reason == CloseReason::write_timeout) home_.stats.timeouts.add();
  watch_.remove();
  output_.clear();
  queue_turn_end();
}

void TcpConnection::Impl::finish(CloseReason reason) {
  ended_ = true;
  watch_.remove();
  output_.clear();
  if (reason == CloseReason::aborted || reason == CloseReason::overflow || reason == CloseReason::write_timeout) {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  const bool moves = moving_to_ != nullptr && reason == CloseReason::moved;
  if (moving_to_ != nullptr && !moves) moving_to_->open.fetch_sub(1, std::memory_order_relaxed);  // the server stops
  if (!moves) fd_.reset();
  if (handler_) handler_->on_closed(*this, reason);
  home_.stats.connections_closed.add();
  home_.unlink(*this);
  home_.open.fetch_sub(1, std::memory_order_relaxed);
  auto& set = home_.set;
  const Address peer = peer_;
  if (moves) {
    unconsumed_.resize(unconsumed_size_);
    set.move_in(*moving_to_, std::move(fd_), peer, std::move(unconsumed_));
  }
  delete this;
  if (!moves) set.count_out(peer);
}

void TcpConnection::Impl::update_interest() {
  if (ended_) return;
  std::uint32_t events = 0;
  if (finished_ || reading()) events |= runtime::kFdRead;
  if (write_blocked_) events |= runtime::kFdWrite;
  watch_.want(events);
}

void TcpConnection::Impl::drain() {
  drain_look_ = home_.shard.now();
  drain_left_ = output_.size();
  drain_taken_ = 0;
  home_.note_timeout(home_.set.options().drain_grace);
  handler_->on_drain(*this);
}

/// While draining: nobody may keep the server by not reading, or by reading a byte now and then.
bool TcpConnection::Impl::reads_too_slowly(Duration now) {
  if (drain_look_.ns == 0 || now - drain_look_ < home_.set.options().drain_grace) return false;
  const bool slow = drain_taken_ < std::min(drain_left_, kDrainProgress);
  drain_look_ = now;
  drain_left_ = output_.size();
  drain_taken_ = 0;
  return slow;
}

void TcpConnection::Impl::check_times(Duration now) {
  if (ended_) return;
  if (deadline_.ns != 0 && now >= deadline_) {
    deadline_ = {};
    if (finished_) return end(CloseReason::local);
    if (!closing_) {
      handler_->on_deadline(*this);
      if (ended_) return;
    }
  }
  const auto write_timeout = home_.set.options().write_timeout;
  if (write_timeout.ns != 0 && write_stuck_since_.ns != 0 && now - write_stuck_since_ >= write_timeout) {
    return end(CloseReason::write_timeout);
  }
  if (reads_too_slowly(now)) return end(CloseReason::write_timeout);
  if (idle_timeout_.ns != 0 && !closing_ && now - last_read_ >= idle_timeout_) {
    // Reading that we have stopped ourselves is not the peer's silence.
    if (paused_ || choked_) {
      last_read_ = now;
    } else {
      end(CloseReason::idle_timeout);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

void TcpConnection::write(std::string_view data) {
  auto& self = *static_cast<Impl*>(this);
  if (self.ended_ || self.closing_) return;
  self.output_.append(data);
  if (self.output_.size() > self.high_water_) {
    self.flush();  // within one turn too, no more than this is held while the kernel would take it
    if (self.output_.size() > self.high_water_) self.choked_ = true;
  }
  self.queue_turn_end();
}

void TcpConnection::write(std::span<const std::byte> data) {
  write(std::string_view(reinterpret_cast<const char*>(data.data()), data.size()));
}

void TcpConnection::write(SharedBytes data) {
  const std::string_view all = *data;
  write(std::move(data), all);
}

void TcpConnection::write(SharedBytes data, std::string_view part) {
  auto& self = *static_cast<Impl*>(this);
  if (self.ended_ || self.closing_) return;
  self.output_.append(std::move(data), part);
  write(std::string_view());
}

std::size_t TcpConnection::buffered_bytes() const { return static_cast<const Impl*>(this)->output_.size(); }
bool TcpConnection::above_high_water() const { return static_cast<const Impl*>(this)->choked_; }

void TcpConnection::pause_reading() {
  auto& self = *static_cast<Impl*>(this);
  if (self.paused_) return;
  self.paused_ = true;
  self.queue_turn_end();
}

void TcpConnection::resume_reading() {
  auto& self = *static_cast<Impl*>(this);
  if (!self.paused_) return;
  self.paused_ = false;
  self.last_read_ = self.home_.shard.now();
  self.show_again_ = true;
  self.queue_turn_end();
}

void TcpConnection::close() {
  auto& self = *static_cast<Impl*>(this);
  if (self.closing_ || self.ended_) return;
  self.closing_ = true;
  self.reason_ = CloseReason::local;
  self.queue_turn_end();
}

void TcpConnection::abort(CloseReason reason) { static_cast<Impl*>(this)->end(reason); }

void TcpConnection::move_to(runtime::Shard& shard) {
  auto& self = *static_cast<Impl*>(this);
  if (self.ended_ || self.closing_) return;
  CHECK(self.output_.empty());
  self.moving_to_ = &self.home_.set.home(shard.index());
  self.moving_to_->open.fetch_add(1, std::memory_order_relaxed);
  self.end(CloseReason::moved);
}

bool TcpConnection::closing() const {
  const auto& self = *static_cast<const Impl*>(this);
  return self.closing_ || self.ended_;
}

void TcpConnection::set_idle_timeout(Duration timeout) {
  auto& self = *static_cast<Impl*>(this);
  self.idle_timeout_ = timeout;
  self.last_read_ = self.home_.shard.now();
  self.home_.note_timeout(timeout);
}

void TcpConnection::set_deadline(Duration from_now) {
  auto& self = *static_cast<Impl*>(this);
  self.deadline_ = from_now.ns == 0 ? Duration{} : self.home_.shard.now() + from_now;
  self.home_.note_timeout(from_now);
}

void TcpConnection::set_water_marks(std::size_t low, std::size_t high) {
  auto& self = *static_cast<Impl*>(this);
  self.high_water_ = high;
  self.low_water_ = std::min(low, high);
}

const Address& TcpConnection::peer() const { return static_cast<const Impl*>(this)->peer_; }
const Address& TcpConnection::local() const { return static_cast<const Impl*>(this)->local_; }
runtime::Shard& TcpConnection::shard() const { return static_cast<const Impl*>(this)->home_.shard; }
NetStats& TcpConnection::stats() const { return static_cast<const Impl*>(this)->home_.stats; }
std::uint64_t TcpConnection::id() const { return static_cast<const Impl*>(this)->id_; }
bool TcpConnection::draining() const { return static_cast<const Impl*>(this)->home_.set.draining(); }

}  // namespace flux::net
