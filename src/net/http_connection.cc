#include "net/http_connection.h"

#include <algorithm>
#include <charconv>
#include <exception>

#include "runtime/spawn.h"

namespace flux::net {
namespace {

/// A rest of a body up to this is read and dropped, so that the connection lives on after an early answer.
constexpr std::size_t kDiscardBytes = 64 * 1024;
constexpr std::size_t kKeptExchanges = 4;

std::string_view error_code_of(HttpFault kind) {
  switch (kind) {
    case HttpFault::body_too_large:
    case HttpFault::header_too_large:
    case HttpFault::target_too_long: return "too_large";
    case HttpFault::header_timeout:
    case HttpFault::body_timeout:
    case HttpFault::body_too_slow:
    case HttpFault::room_needed: return "timed_out";
    case HttpFault::no_room: return "exhausted";
    case HttpFault::draining: return "unavailable";
    case HttpFault::host_refused: return "permission_denied";
    case HttpFault::not_found: return "not_found";
    default: return "invalid_argument";
  }
}

HttpResponse fault_response(const ParseFault& fault) {
  auto response = HttpResponse::error(fault.status, error_code_of(fault.kind), fault.message);
  if (fault.status == 503) response.header("Retry-After", "1");
  return response;
}

bool is_loopback_name(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return false;
    const auto rest = host.substr(end + 1);
    return host.substr(0, end + 1) == "[::1]" && (rest.empty() || rest.starts_with(':'));
  }
  const auto name = host.substr(0, host.find(':'));
  if (equals_ignoring_case(name, "localhost")) return true;
  const auto address = Address::parse(name, 0);
  return !name.empty() && name != "*" && address && address->is_loopback();
}

}  // namespace

HttpConnection::HttpConnection(TcpConnection& connection, std::shared_ptr<const HttpShared> shared)
    : connection_(connection), shared_(std::move(shared)) {}

HttpConnection::~HttpConnection() {
  for (Target* const target : free_) delete target;
}

void HttpConnection::on_open(TcpConnection& /*connection*/) { set_deadline(); }

std::size_t HttpConnection::on_data(TcpConnection& /*connection*/, std::span<const std::byte> bytes) {
  const std::string_view data(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::size_t used = 0;
  while (used < data.size()) {
    if (websocket_) {
      websocket_->on_data(data.substr(used));
      return data.size();
    }
    const auto rest = data.substr(used);
    std::size_t step = 0;
    switch (state_) {
      case State::head:
        if (queue_.size() < shared_->options.pipelined_requests && !connection_.above_high_water())
          step = read_head(rest);
        break;
      case State::body: step = read_body(rest); break;
      case State::discard: step = discard_body(rest); break;
      case State::last: step = rest.size(); break;
      case State::deciding:
      case State::held: break;
    }
    used += step;
    if (step == 0) break;
  }
  const bool blocked = state_ == State::deciding || state_ == State::held ||
                       (state_ == State::head && queue_.size() >= shared_->options.pipelined_requests);
  if (blocked && used < data.size()) connection_.pause_reading();
  set_deadline();
  return used;
}

std::optional<ParseFault> HttpConnection::head_too_large(std::string_view data, std::size_t head_size) const {
  const auto& options = shared_->options;
  const auto line = data.substr(0, data.find("\r\n"));
  if (line.size() > options.target_bytes + 32) {
    return ParseFault{414, HttpFault::target_too_long,
                      "the request target is longer than " + std::to_string(options.target_bytes) + " bytes"};
  }
  if (head_size > options.header_bytes) {
    return ParseFault{431, HttpFault::header_too_large,
                      "the request head is longer than " + std::to_string(options.header_bytes) + " bytes"};
  }
  return std::nullopt;
}

std::size_t HttpConnection::read_head(std::string_view data) {
  if (scanned_ == 0) {
    // An empty line before a request is a relic of old clients.
    if (data.starts_with("\r\n")) return 2;
    if (data == "\r") return 0;
    if (data.front() == '\x16') {
      refuse({400, HttpFault::malformed, "this port speaks HTTP without TLS"});
      return data.size();
    }
  }
  const auto scan = scan_head(data, scanned_);
  auto fault = scan.fault;
  if (!fault) fault = head_too_large(data, scan.size == 0 ? data.size() : scan.size);
  if (fault) {
    refuse(*fault);
    return data.size();
  }
  if (scan.size == 0) {
    partial_head_ = true;
    return 0;
  }
  scanned_ = 0;
  partial_head_ = false;
  Target& exchange = *take_exchange();
  auto& text = HttpRequestAccess::head_text(exchange.request);
  text.assign(data.substr(0, scan.size));
  RequestHead head;
  fault = parser_.parse_head(text, head, HttpRequestAccess::fields(exchange.request));
  if (fault) {
    refuse(exchange, *fault);
  } else {
    begin(exchange, head);
  }
  return scan.size;
}

HttpConnection::Target* HttpConnection::take_exchange() {
  Target* target = nullptr;
  if (free_.empty()) {
    target = new Target(this);
    all_.push_back(target);
    HttpRequestAccess::set_origin(target->request, connection_.peer(), connection_.shard());
  } else {
    target = free_.back();
    free_.pop_back();
  }
  target->retain();
  queue_.push_back(target);
  return target;
}

void HttpConnection::recycle(Target* target) {
  if (free_.size() >= kKeptExchanges) {
    std::erase(all_, target);
    delete target;
    return;
  }
  HttpRequestAccess::reset(target->request);
  target->body.clear();
  target->share.give_back();
  target->route = nullptr;
  target->response.reset();
  target->stream.reset();
  target->body_left = target->body_length = target->bytes_sent = 0;
  target->status = 0;
  target->chunked = target->answered = target->finished = false;
  target->overlap = target->expects_continue = target->ready = false;
  target->keep_alive = true;
  free_.push_back(target);
}

void HttpConnection::begin(Target& exchange, const RequestHead& head) {
  connection_.stats().requests.add();
  exchange.began = connection_.shard().now();
  exchange.keep_alive = head.keep_alive;
  exchange.chunked = head.chunked;
  exchange.body_left = exchange.body_length = head.content_length;
  exchange.expects_continue = head.expects_continue && (head.chunked || head.content_length > 0);
  const auto method = method_from(head.method);
  if (!method) {
    return refuse(exchange, {501, HttpFault::unsupported_method, "the method is not known here"});
  }
  if (!HttpRequestAccess::set_target(exchange.request, *method, head)) {
    return refuse(exchange, {400, HttpFault::malformed, "the request target is neither a path nor an http URL"});
  }
  if (head.target.size() > shared_->options.target_bytes) {
    return refuse(exchange,
                  {414, HttpFault::target_too_long,
                   "the request target is longer than " + std::to_string(shared_->options.target_bytes) + " bytes"});
  }
  if (shared_->options.loopback_host_only && !host_is_fine(exchange.request)) {
    count(HttpFault::host_refused);
    return answer_early(exchange, HttpResponse::error(403, "permission_denied",
                                                      "this server asks for no credential and so serves this machine "
                                                      "only: Host must be a loopback name and Origin the same"));
  }
  find_route(exchange);
}

bool HttpConnection::host_is_fine(const HttpRequest& request) const {
  return is_loopback_name(request.header("Host")) && same_origin(request);
}

void HttpConnection::find_route(Target& exchange) {
  HttpRequest& request = exchange.request;
  shared_->router.match(request.method(), request.raw_path(), match_);
  if (match_.route != nullptr) {
    if (!HttpRequestAccess::set_route(request, *match_.route, match_)) {
      return refuse(exchange, {400, HttpFault::malformed, "the path holds a broken escape"});
    }
    exchange.route = match_.route;
    exchange.overlap = match_.route->info.overlap;
    return decide(exchange, 0);
  }
  if (match_.allowed.empty() && request.raw_path() != "*") {
    count(HttpFault::not_found);
    return answer_early(exchange, HttpResponse::error(404, "not_found", "there is nothing at " + request.path()));
  }
  std::string allow;
  for (const Method method : match_.allowed) {
    if (!allow.empty()) allow += ", ";
    allow += to_string(method);
  }
  if (request.method() == Method::options) {
    if (allow.empty()) allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    return answer_early(exchange, HttpResponse::empty(204).header("Allow", std::move(allow)));
  }
  count(HttpFault::method_not_allowed);
  auto response = HttpResponse::error(405, "invalid_argument", "allowed here: " + allow);
  response.header("Allow", std::move(allow));
  answer_early(exchange, std::move(response));
}

void HttpConnection::decide(Target& exchange, std::size_t middleware) {
  const auto& middlewares = exchange.route->middlewares();
  for (; middleware < middlewares.size(); ++middleware) {
    auto verdict = middlewares[middleware](exchange.request);
    if (auto* const answer = std::get_if<HttpResponse>(&verdict.value)) {
      return answer_early(exchange, std::move(*answer));
    }
    if (auto* const later = std::get_if<Async<std::optional<HttpResponse>>>(&verdict.value)) {
      state_ = State::deciding;
      runtime::spawn_now(decide_later(ExchangeRef(&exchange), middleware + 1, std::move(*later)), "http middleware");
      return;
    }
  }
  admit_body(exchange);
}

Async<void> HttpConnection::decide_later(ExchangeRef exchange, std::size_t next,
                                         Async<std::optional<HttpResponse>> later) {
  auto verdict = co_await std::move(later);
  HttpConnection* const self = exchange->connection;
  if (self == nullptr || self->closed_) co_return {};
  if (!verdict) {
    self->answer_early(*exchange, HttpResponse::error(verdict.error()));
  } else if (*verdict) {
    self->answer_early(*exchange, std::move(**verdict));
  } else {
    self->decide(*exchange, next);
  }
  self->connection_.resume_reading();
  self->set_deadline();
  co_return {};
}

bool HttpConnection::may_dispatch(const Target& exchange) const {
  if (queue_.front() == &exchange) return true;
  return exchange.overlap && std::ranges::all_of(queue_, [](const Target* other) { return other->overlap; });
}

void HttpConnection::dispatch(Target& exchange) {
  state_ = exchange.keep_alive ? State::head : State::last;
  if (exchange.route->websocket) return upgrade(exchange);
  if (exchange.route->coroutine) {
    runtime::spawn_now(run_handler(ExchangeRef(&exchange)), exchange.route->info.name);
    return;
  }
  exchange.retain();
  const ExchangeRef keep(&exchange);
  try {
    exchange.route->callback(exchange.request, Responder(&exchange));
  } catch (const std::exception& error) {
    exchange.answer(HttpResponse::error(500, "internal", error.what()));
  }
}

Async<void> HttpConnection::run_handler(ExchangeRef exchange) {
  auto result = co_await exchange->route->coroutine(exchange->request);
  exchange->answer(result ? std::move(*result) : HttpResponse::error(result.error()));
  co_return {};
}

void HttpConnection::answer_early(Target& exchange, HttpResponse response) {
  if (exchange.chunked || exchange.expects_continue || exchange.body_left > kDiscardBytes) {
    exchange.keep_alive = false;
    state_ = State::last;
  } else if (!exchange.keep_alive) {
    state_ = State::last;
  } else {
    discard_left_ = exchange.body_left;
    state_ = discard_left_ > 0 ? State::discard : State::head;
    body_began_ = body_progress_ = body_look_ = mark();
  }
  exchange.overlap = true;  // it has no effect that others could depend on
  exchange.answer(std::move(response));
}

void HttpConnection::refuse(Target& exchange, const ParseFault& fault) {
  count(fault.kind);
  exchange.keep_alive = false;
  state_ = State::last;
  drop_body(exchange);  // the answer may have to wait for its turn
  exchange.answer(fault_response(fault));
}

void HttpConnection::refuse(const ParseFault& fault) {
  partial_head_ = false;
  refuse(*take_exchange(), fault);
}

// --- answering -------------------------------------------------------------------------------------------------------

void HttpConnection::pump() {
  if (pumping_ || closed_) return;
  pumping_ = true;
  while (!queue_.empty()) {
    Target& exchange = *queue_.front();
    if (!exchange.answered) break;
    if (exchange.response && !exchange.stream) write_answer(exchange);
    if (!exchange.finished) break;
    finish_answer(exchange);
    const bool close = !exchange.keep_alive;
    queue_.erase(queue_.begin());
    exchange.release();
    if (close) {
      state_ = State::last;
      connection_.close();
      break;
    }
    if (state_ == State::held) continue_held();
  }
  pumping_ = false;
  if (queue_.empty() && (peer_finished_ || (connection_.draining() && state_ == State::head && !partial_head_)) &&
      !websocket_) {
    connection_.close();
  }
  if (!websocket_ && state_ != State::deciding && state_ != State::held) connection_.resume_reading();
  set_deadline();
}

void HttpConnection::continue_held() {
  Target& exchange = *queue_.back();
  if (!exchange.ready) {
    admit_body(exchange);
  } else if (may_dispatch(exchange)) {
    dispatch(exchange);
  }
}

void HttpConnection::finish_answer(Target& exchange) {
  auto& stats = connection_.stats();
  stats.responses[static_cast<std::size_t>(std::clamp(exchange.status / 100, 0, 5))].add();
  if (!shared_->on_request) return;
  const RequestReport report{.request = exchange.route != nullptr ? &exchange.request : nullptr,
                             .status = exchange.status,
                             .body_bytes = exchange.bytes_sent,
                             .duration = connection_.shard().now() - exchange.began};
  shared_->on_request(report);
}

Async<void> HttpConnection::run_stream(ExchangeRef exchange) {
  auto body = exchange->stream->producer()(*exchange->stream);
  const auto result = co_await std::move(body);
  HttpConnection* const self = exchange->connection;
  if (self == nullptr || self->closed_) co_return {};
  if (!result) {
    if (result.error().code != ErrorCode::cancelled || !exchange->stream->closed().cancelled()) {
      self->connection_.abort();  // the peer must see that this is not the whole answer
      co_return std::unexpected(result.error());
    }
    exchange->keep_alive = false;  // draining: an end in order
  }
  exchange->stream->finish();
  exchange->finished = true;
  self->pump();
  co_return {};
}

void HttpConnection::set_deadline() {
  if (websocket_ || closed_) return;
  const auto& options = shared_->options;
  switch (state_) {
    case State::head:
      if (partial_head_) {
        // From the first byte on; more bytes buy no more time.
        if (deadline_ != Deadline::head) connection_.set_deadline(time_to_finish(options.header_time));
        deadline_ = Deadline::head;
        return;
      }
      if (queue_.empty()) {
        connection_.set_deadline(options.keep_alive_time);
        deadline_ = Deadline::idle;
        return;
      }
      break;
    case State::body:
    case State::discard:
      if (deadline_ != Deadline::body) connection_.set_deadline(body_look_time());
      deadline_ = Deadline::body;
      return;
    case State::held:
      if (queue_.back()->share.bytes() == 0) break;
      if (deadline_ != Deadline::held) connection_.set_deadline(body_look_time());
      deadline_ = Deadline::held;
      return;
    default: break;
  }
  if (deadline_ != Deadline::none) connection_.set_deadline({});
  deadline_ = Deadline::none;
}

void HttpConnection::on_deadline(TcpConnection& connection) {
  if (websocket_) return websocket_->on_deadline();
  switch (std::exchange(deadline_, Deadline::none)) {
    case Deadline::none: return;
    case Deadline::idle: return connection.close();
    case Deadline::head: return refuse({408, HttpFault::header_timeout, "the request head did not arrive in time"});
    case Deadline::body:
      if (const auto fault = judge_body(connection_.shard().now())) {
        if (state_ == State::discard) return connection.close();
        return refuse(*queue_.back(), *fault);
      }
      return set_deadline();
    case Deadline::held:
      // Its turn has not come. When that is because the peer does not read the answers before it, it is in the way.
      if (state_ == State::held && connection_.above_high_water() &&
          shared_->bodies->short_of_room(connection_.shard().now())) {
        return refuse(*queue_.back(), {408, HttpFault::room_needed,
                                       "the answers before this one are not read, and others need the room"});
      }
      return set_deadline();
  }
}

void HttpConnection::on_writable(TcpConnection& /*connection*/) {
  if (websocket_) return websocket_->on_writable();
  if (!queue_.empty() && queue_.front()->stream) queue_.front()->stream->wake(false);
}

bool HttpConnection::on_peer_finished(TcpConnection& /*connection*/) {
  if (websocket_) return false;
  if (state_ == State::body) {  // its rest will never come
    Target* const cut_short = queue_.back();
    queue_.pop_back();
    cut_short->release();
  }
  state_ = state_ == State::held || state_ == State::deciding ? state_ : State::last;
  peer_finished_ = true;
  // A stream has no end by itself, and nobody sends a request for one and then leaves but to be rid of it.
  const bool streaming =
      std::ranges::any_of(queue_, [](const Target* exchange) { return exchange->stream != nullptr; });
  const auto queue = queue_;
  for (Target* const exchange : queue) {
    const ExchangeRef keep(exchange);
    HttpRequestAccess::cancel(exchange->request);
  }
  return !queue_.empty() && !streaming;
}

Duration HttpConnection::time_to_finish(Duration usual) const {
  return connection_.draining() ? std::min(usual, shared_->options.tcp.drain_grace) : usual;
}

void HttpConnection::on_drain(TcpConnection& connection) {
  if (websocket_) return websocket_->on_drain();
  // Of a request that has begun, what is to come must come soon.
  drain_began_ = connection.shard().now();
  drain_look_ = mark();
  if (deadline_ == Deadline::head || deadline_ == Deadline::body) {
    deadline_ = Deadline::none;
    set_deadline();
  }
  if (queue_.empty() && state_ == State::head && !partial_head_) return connection.close();
  const auto queue = queue_;
  for (Target* const exchange : queue) {
    if (exchange->stream) exchange->stream->cancel();
  }
}

void HttpConnection::on_closed(TcpConnection& /*connection*/, CloseReason reason) {
  closed_ = true;
  const auto queue = std::exchange(queue_, {});
  for (Target* const exchange : all_) exchange->connection = nullptr;
  for (Target* const exchange : free_) delete exchange;
  free_.clear();
  for (Target* const exchange : queue) {
    if (exchange->stream) {
      exchange->stream->wake(true);
      exchange->stream->cancel();
    }
    HttpRequestAccess::cancel(exchange->request);
    exchange->release();
  }
  all_.clear();
  if (websocket_) {
    const auto socket = std::move(websocket_);
    socket->on_closed(reason);
  }
}

}  // namespace flux::net
