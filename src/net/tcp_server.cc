#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>

#include "net/tcp_connection.h"

namespace flux::net {
namespace {

struct NativeAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

NativeAddress to_native(const Address& address) {
  NativeAddress native;
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&v4.sin_addr, address.ip.data() + 12, 4);
    std::memcpy(&native.storage, &v4, sizeof v4);
    native.size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    std::memcpy(&v6.sin6_addr, address.ip.data(), 16);
    std::memcpy(&native.storage, &v6, sizeof v6);
    native.size = sizeof v6;
  }
  return native;
}

Address local_address(int fd) {
  NativeAddress native;
  native.size = sizeof native.storage;
  if (::getsockname(fd, native.get(), &native.size) != 0) return {};
  return Address::from(*native.get());
}

void set_option(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); }

}  // namespace

struct TcpServer::Impl final : ConnectionSet {
  Impl(runtime::Shards& shards, TcpOptions options, Factory make)
      : ConnectionSet(shards, std::move(options)),
        factory(std::move(make)),
        spare(::open("/dev/null", O_RDONLY | O_CLOEXEC)) {}

  struct Listener final : runtime::FdWatchOwner {
    Listener(Impl& impl, UniqueFd socket) : server(impl), fd(std::move(socket)), address(local_address(fd.get())) {}
    void on_fd_events(std::uint32_t /*events*/) override { server.accept_from(*this); }

    Impl& server;
    UniqueFd fd;
    const Address address;
    runtime::FdWatch watch;
    runtime::Timer retry;
  };

  Result<> listen(std::string_view host, std::uint16_t port);
  void accept_from(Listener& listener);
  void admit(UniqueFd fd, const Address& peer);
  void adopt(ConnectionHome& home, UniqueFd fd, const Address& peer, std::vector<std::byte> begun = {});
  void move_in(ConnectionHome& target, UniqueFd fd, const Address& peer, std::vector<std::byte> begun) override;
  std::optional<Refusal> reason_to_refuse(const Address& peer);
  void refuse(UniqueFd fd, Refusal why);
  void count_out(const Address& peer) override;
  void stop_listening() override;

  const Factory factory;
  UniqueFd spare;  // given up for a moment when descriptors run out, so that the peer can be turned away
  std::vector<std::unique_ptr<Listener>> listeners;
  mutable std::mutex addresses_mutex;
  std::vector<Address> addresses;
  std::mutex peers_mutex;
  std::map<std::array<std::uint8_t, 16>, std::size_t> peers;  // connections by IP
};

Result<> TcpServer::Impl::listen(std::string_view host, std::uint16_t port) {
  TRY(const Address address, Address::parse(host, port));
  const std::string what = "cannot listen on " + address.text();
  const int family = address.is_v4() ? AF_INET : AF_INET6;
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail_errno(what, errno);
  if (options().reuse_address) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  const auto native = to_native(address);
  if (::bind(fd.get(), native.get(), native.size) != 0) return fail_errno(what, errno);
  if (::listen(fd.get(), options().backlog) != 0) return fail_errno(what, errno);

  auto listener = std::make_unique<Listener>(*this, std::move(fd));
  {
    const std::lock_guard lock(addresses_mutex);
    addresses.push_back(listener->address);
  }
  auto& acceptor = home(0).shard;
  auto begin = [self = shared_from_this(), this, owned = std::move(listener)]() mutable {
    if (draining()) return;
    auto& added = *listeners.emplace_back(std::move(owned));
    CHECK(added.watch.add(home(0).shard, added.fd.get(), runtime::kFdRead, added));
  };
  if (acceptor.is_current()) {
    begin();
  } else {
    acceptor.post(std::move(begin));
  }
  return {};
}

void TcpServer::Impl::accept_from(Listener& listener) {
  // A few per turn: a storm of new connections must not starve those that are there.
  for (int i = 0; i < 64; ++i) {
    NativeAddress native;
    native.size = sizeof native.storage;
    UniqueFd fd(::accept4(listener.fd.get(), native.get(), &native.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.get() >= 0) {
      admit(std::move(fd), Address::from(*native.get()));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EMFILE || errno == ENFILE) {
      spare.reset();
      refuse(UniqueFd(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)),
             Refusal::no_descriptors);
      spare = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      listener.watch.want(0);
      listener.retry = home(0).shard.call_after(50_ms, [&listener] { listener.watch.want(runtime::kFdRead); });
    }
    return;
  }
}

std::optional<Refusal> TcpServer::Impl::reason_to_refuse(const Address& peer) {
  if (draining()) return Refusal::draining;
  if (total() >= options().max_connections) return Refusal::total_limit;
  if (peer.is_loopback() && !options().limit_loopback) return std::nullopt;
  const std::lock_guard lock(peers_mutex);
  std::size_t& count = peers[peer.ip];
  if (count >= options().max_connections_per_peer) return Refusal::peer_limit;
  ++count;
  return std::nullopt;
}

void TcpServer::Impl::refuse(UniqueFd fd, Refusal why) {
  home(0).stats.connections_refused[static_cast<std::size_t>(why)].add();
  const auto& words = options().refusal;
  if (fd.get() < 0 || words.empty()) return;
  // The kernel's buffer of a new socket takes this. What the peer has sent is read, or closing would reset the answer.
  (void)!::send(fd.get(), words.data(), words.size(), MSG_NOSIGNAL);
  ::shutdown(fd.get(), SHUT_WR);
  std::array<char, 16384> sink;
  (void)!::recv(fd.get(), sink.data(), sink.size(), MSG_DONTWAIT);
}

void TcpServer::Impl::admit(UniqueFd fd, const Address& peer) {
  if (const auto why = reason_to_refuse(peer)) return refuse(std::move(fd), *why);
  count_in();
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  ConnectionHome& target = least_loaded();
  target.open.fetch_add(1, std::memory_order_relaxed);
  if (target.shard.is_current()) return adopt(target, std::move(fd), peer);
  auto hand_over = [self = shared_from_this(), this, &target, peer, owned = std::move(fd)]() mutable {
    adopt(target, std::move(owned), peer);
  };
  target.shard.post(std::move(hand_over));
}

void TcpServer::Impl::move_in(ConnectionHome& target, UniqueFd fd, const Address& peer, std::vector<std::byte> begun) {
  auto hand_over = [self = shared_from_this(), this, &target, peer, owned = std::move(fd),
                    begun = std::move(begun)]() mutable { adopt(target, std::move(owned), peer, std::move(begun)); };
  target.shard.post(std::move(hand_over));
}

void TcpServer::Impl::adopt(ConnectionHome& target, UniqueFd fd, const Address& peer, std::vector<std::byte> begun) {
  if (draining()) {
    target.open.fetch_sub(1, std::memory_order_relaxed);
    count_out(peer);
    return;
  }
  const Address local = local_address(fd.get());
  auto* const connection = new TcpConnection::Impl(target, std::move(fd), peer, local);
  connection->start(factory(*connection), std::move(begun));
}

void TcpServer::Impl::count_out(const Address& peer) {
  if (!peer.is_loopback() || options().limit_loopback) {
    const std::lock_guard lock(peers_mutex);
    const auto found = peers.find(peer.ip);
    if (found != peers.end() && --found->second == 0) peers.erase(found);
  }
  ConnectionSet::count_out(peer);
}

void TcpServer::Impl::stop_listening() { listeners.clear(); }

TcpServer::TcpServer(runtime::Shards& shards, TcpOptions options, Factory factory)
    : impl_(std::make_shared<Impl>(shards, std::move(options), std::move(factory))) {}

TcpServer::~TcpServer() { impl_->stop_if_needed(); }

Result<> TcpServer::listen(std::string_view host, std::uint16_t port) { return impl_->listen(host, port); }

std::vector<Address> TcpServer::addresses() const {
  const std::lock_guard lock(impl_->addresses_mutex);
  return impl_->addresses;
}

Address TcpServer::address() const {
  const auto all = addresses();
  return all.empty() ? Address{} : all.front();
}

Async<void> TcpServer::drain(Duration limit) { return impl_->drain(limit); }
Async<void> TcpServer::close() { return impl_->close(); }
void TcpServer::stop() { impl_->stop(); }
std::size_t TcpServer::connections() const { return impl_->total(); }
std::vector<const NetStats*> TcpServer::stats() const { return impl_->stats(); }

// ---------------------------------------------------------------------------------------------------------------------

struct TcpClient::Impl final : ConnectionSet {
  using ConnectionSet::ConnectionSet;
};

namespace {

/// Waits until a connecting socket has an answer.
struct ConnectWait final : runtime::FdWatchOwner {
  void on_fd_events(std::uint32_t /*events*/) override {
    watch.remove();
    done.resolve({});
  }
  runtime::FdWatch watch;
  runtime::Completion<> done;
};

}  // namespace

TcpClient::TcpClient(runtime::Shards& shards, TcpOptions options)
    : impl_(std::make_shared<Impl>(shards, std::move(options))) {}
TcpClient::~TcpClient() { impl_->stop_if_needed(); }
void TcpClient::stop() { impl_->stop(); }
Async<void> TcpClient::close() { return impl_->close(); }

Async<void> TcpClient::connect(Address address, Duration timeout, std::shared_ptr<TcpHandler> handler) {
  const auto set = impl_;
  auto& shard = *runtime::Shard::current();
  const std::string what = "cannot connect to " + address.text();
  UniqueFd fd(::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) co_return fail_errno(what, errno);
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  const auto native = to_native(address);
  if (::connect(fd.get(), native.get(), native.size) != 0 && errno != EINPROGRESS) {
    co_return fail(ErrorCode::unavailable, what + ": " + std::strerror(errno));
  }
  {
    ConnectWait wait;
    CO_DO(wait.watch.add(shard, fd.get(), runtime::kFdWrite, wait));
    const auto done = wait.done;
    const auto timer = shard.call_after(timeout, [done, what] { done.resolve(fail(ErrorCode::timed_out, what)); });
    CO_DO(co_await done);
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) co_return fail(ErrorCode::unavailable, what + ": " + std::strerror(error));
  if (set->draining()) co_return fail(ErrorCode::unavailable, "the client has been stopped");

  auto& home = set->home(shard.index());
  home.open.fetch_add(1, std::memory_order_relaxed);
  set->count_in();
  const Address local = local_address(fd.get());
  auto* const connection = new TcpConnection::Impl(home, std::move(fd), address, local);
  connection->start(std::move(handler));
  co_return {};
}

}  // namespace flux::net
