#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/body_budget.h"
#include "net/content_coding.h"
#include "net/http_parser.h"
#include "net/http_server.h"
#include "net/router_nodes.h"
#include "net/tcp.h"
#include "net/websocket_session.h"
#include "runtime/completion.h"

namespace flux::net {

/// What all connections of a server share.
struct HttpShared {
  HttpShared(const Router& r, HttpOptions o)
      : router(r),
        options(std::move(o)),
        bodies(std::make_shared<BodyBudget>(options.bodies_bytes, options.bodies_bytes_per_peer)) {}
  const Router& router;
  const HttpOptions options;
  const std::shared_ptr<BodyBudget> bodies;
  std::string fixed_headers;  // `options.headers` as they go over the wire
  std::function<void(const RequestReport&)> on_request;
};

/// Access to what HttpRequest keeps from the world.
struct HttpRequestAccess {
  static void reset(HttpRequest& request);
  /// What the views of the request point into: filled first, then parsed.
  static std::string& head_text(HttpRequest& request) { return request.head_; }
  static std::vector<HttpRequest::Field>& fields(HttpRequest& request) { return request.fields_; }
  static void set_origin(HttpRequest& request, const Address& peer, runtime::Shard& shard);
  /// Takes the target apart; false when its form is not understood.
  static bool set_target(HttpRequest& request, Method method, const RequestHead& head);
  /// Decodes what the router has matched; false when an escape is broken.
  static bool set_route(HttpRequest& request, const Router::Route& route, const Router::Match& match);
  static void set_body(HttpRequest& request, std::string_view body);
  static void set_no_body(HttpRequest& request);
  static void cancel(HttpRequest& request);
};

class HttpConnection;
class StreamWriter;

/// One request and its answer. Counted by hand: the connection's queue, the responder, and coroutines hold it; all on
/// one shard. Used again for later requests of its connection.
class Responder::Target {
 public:
  explicit Target(HttpConnection* owner);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  void retain() { ++references; }
  void release();

  /// The one answer; later ones are ignored.
  void answer(HttpResponse response);
  void answer_json(int status, std::string_view json);

  HttpConnection* connection;  // null when it has gone
  HttpRequest request;
  BodyBuffer body;
  BodyShare share;  // of the budget, for `body`
  const Router::Route* route = nullptr;
  std::optional<HttpResponse> response;  // waiting for its turn
  std::unique_ptr<StreamWriter> stream;
  std::uint64_t body_left = 0;    // of a Content-Length
  std::uint64_t body_length = 0;  // the Content-Length
  std::uint64_t bytes_sent = 0;
  Duration began{};
  std::size_t references = 0;
  int status = 0;
  bool chunked = false;
  bool answered = false;
  bool finished = false;  // the answer is written to the end
  bool keep_alive = true;
  bool overlap = false;
  bool expects_continue = false;
  bool ready = false;  // the body is complete
};

class ExchangeRef {
 public:
  explicit ExchangeRef(Responder::Target* target) : target_(target) { target_->retain(); }
  ExchangeRef(const ExchangeRef& other) : ExchangeRef(other.target_) {}
  ExchangeRef(ExchangeRef&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  ExchangeRef& operator=(ExchangeRef other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~ExchangeRef() {
    if (target_ != nullptr) target_->release();
  }
  Responder::Target* operator->() const { return target_; }
  Responder::Target& operator*() const { return *target_; }

 private:
  Responder::Target* target_;
};

/// The BodyWriter of one streamed answer.
class StreamWriter final : public BodyWriter {
 public:
  StreamWriter(Responder::Target& exchange, BodyProducer producer, bool chunked, bool compress);

  Async<void> write(std::string data) override;
  Async<void> write(SharedBytes data) override;
  Async<void> flush() override;
  bool try_write(std::string_view data) override;
  bool try_write(const SharedBytes& data) override;
  [[nodiscard]] std::size_t buffered_bytes() const override;
  Async<void> writable() override;
  [[nodiscard]] runtime::CancelToken closed() const override { return closed_.token(); }

  BodyProducer& producer() { return producer_; }
  /// The last chunk.
  void finish();
  /// Wakes a waiting write; with `gone`, for good.
  void wake(bool gone);
  void cancel() { closed_.cancel(); }

 private:
  void put(std::string_view data);
  void put_shared(const SharedBytes& data);

  Responder::Target& exchange_;
  BodyProducer producer_;
  const bool chunked_;
  std::unique_ptr<GzipStream> gzip_;
  runtime::CancelSource closed_;
  std::optional<runtime::Completion<>> waiting_;
};

/// The HTTP/1.1 side of one connection: reads requests one after another, answers in the same order.
class HttpConnection final : public TcpHandler {
 public:
  HttpConnection(TcpConnection& connection, std::shared_ptr<const HttpShared> shared);
  ~HttpConnection() override;

  void on_open(TcpConnection& connection) override;
  std::size_t on_data(TcpConnection& connection, std::span<const std::byte> data) override;
  void on_writable(TcpConnection& connection) override;
  bool on_peer_finished(TcpConnection& connection) override;
  void on_deadline(TcpConnection& connection) override;
  void on_drain(TcpConnection& connection) override;
  void on_closed(TcpConnection& connection, CloseReason reason) override;

  /// Writes what is answered and whose turn it is.
  void pump();
  void recycle(Responder::Target* target);
  [[nodiscard]] TcpConnection& connection() { return connection_; }

 private:
  using Target = Responder::Target;
  friend class Responder::Target;

  enum class State : std::uint8_t {
    head,      // before or within a head
    deciding,  // a middleware thinks
    held,      // the request waits until those before it are answered
    body,
    discard,  // the rest of a body whose request is answered already
    last,     // nothing more is read: the answer at the end of the queue closes
  };

  std::size_t read_head(std::string_view data);
  std::size_t read_body(std::string_view data);
  std::size_t discard_body(std::string_view data);
  std::optional<ParseFault> head_too_large(std::string_view data, std::size_t head_size) const;
  void begin(Target& exchange, const RequestHead& head);
  void find_route(Target& exchange);
  void decide(Target& exchange, std::size_t middleware);
  static Async<void> decide_later(ExchangeRef exchange, std::size_t next, Async<std::optional<HttpResponse>> later);
  void admit_body(Target& exchange);
  void begin_body(Target& exchange);
  void body_complete(Target& exchange);
  /// Room for a body of `bytes` so far; when there is none, `body_fault_` says why.
  bool make_room(Target& exchange, std::size_t bytes);
  /// Looks whether the body comes fast enough, and says what is wrong when it does not.
  std::optional<ParseFault> judge_body(Duration now);
  [[nodiscard]] Holder holder() const;
  [[nodiscard]] ParseFault no_room(const BodyShare& share) const;
  [[nodiscard]] Duration body_look_time() const;
  /// `usual`, or less when the server drains.
  [[nodiscard]] Duration time_to_finish(Duration usual) const;
  static void drop_body(Target& exchange);
  void dispatch(Target& exchange);
  static Async<void> run_handler(ExchangeRef exchange);
  static Async<void> run_stream(ExchangeRef exchange);
  void upgrade(Target& exchange);
  /// Answers before the body is read; the connection goes on only when what is left of the body is small.
  void answer_early(Target& exchange, HttpResponse response);
  /// Answers what is not understood, and closes.
  void refuse(Target& exchange, const ParseFault& fault);
  void refuse(const ParseFault& fault);
  static bool append_body(void* connection, std::string_view data);
  [[nodiscard]] bool host_is_fine(const HttpRequest& request) const;

  [[nodiscard]] bool may_dispatch(const Target& exchange) const;
  void continue_held();
  void write_answer(Target& exchange);
  void write_head(Target& exchange, const HttpResponse& response, std::optional<std::size_t> length, bool chunked);
  void write_json(Target& exchange, int status, std::string_view json);
  void finish_answer(Target& exchange);
  void set_deadline();
  Target* take_exchange();
  [[nodiscard]] std::size_t body_limit(const Target& exchange) const;
  void count(HttpFault fault) { connection_.stats().http_faults[static_cast<std::size_t>(fault)].add(); }

  enum class Deadline : std::uint8_t { none, idle, head, body, held };

  /// A moment and how much of bodies had come by then.
  struct Mark {
    Duration time{};
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] Mark mark() const { return {connection_.shard().now(), body_bytes_}; }

  TcpConnection& connection_;
  std::shared_ptr<const HttpShared> shared_;
  RequestParser parser_;
  Router::Match match_;
  std::vector<Target*> queue_;  // in order of arrival; the last one may still be being read
  std::vector<Target*> all_;    // every exchange that points to us
  std::vector<Target*> free_;
  std::unique_ptr<WebSocketSession> websocket_;
  std::size_t scanned_ = 0;
  std::uint64_t discard_left_ = 0;
  std::uint64_t body_bytes_ = 0;  // of all bodies, as they came over the wire
  Mark body_began_;
  Mark body_progress_;  // when it last got its time anew
  Mark body_look_;      // when we last looked
  Mark drain_look_;     // the same, of a draining server
  Duration drain_began_{};
  std::size_t packed_bytes_ = 0;  // of a body that is being decompressed
  std::optional<ParseFault> body_fault_;
  State state_ = State::head;
  Deadline deadline_ = Deadline::none;
  bool partial_head_ = false;
  bool peer_finished_ = false;
  bool pumping_ = false;
  bool closed_ = false;
};

}  // namespace flux::net
