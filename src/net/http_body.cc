#include <algorithm>
#include <string>
#include <utility>

#include "net/http_connection.h"

// How the bodies of requests come in: where their bytes go, how much of them, and how fast.

namespace flux::net {
namespace {

/// A body that brings this much gets its time anew.
constexpr std::uint64_t kBodyProgress = 64 * 1024;
constexpr std::size_t kFirstBodyBytes = 256 * 1024;
constexpr Duration kLookTime = 1_s;
/// When others need the room: a body stays that has just begun, or comes fast enough to be whole in this time.
constexpr Duration kJustBegun = 2_s;
constexpr Duration kRoomTime = 30_s;
/// How often a body that still comes may get the grace of a draining server.
constexpr int kDrainGraces = 3;

constexpr std::string_view kNoRoom = "the server holds as many bytes of request bodies as it may; come again";

}  // namespace

std::size_t HttpConnection::body_limit(const Target& exchange) const {
  const std::size_t own = exchange.route->info.body_limit;
  return own != 0 ? own : shared_->options.body_bytes;
}

Holder HttpConnection::holder() const { return holder_of(connection_.peer(), shared_->options.tcp.limit_loopback); }

ParseFault HttpConnection::no_room(const BodyShare& share) const {
  if (!share.is_holders_fault()) return {503, HttpFault::no_room, std::string(kNoRoom)};
  return {429, HttpFault::no_room_for_address,
          "requests from this address hold as many bytes of bodies as one address may (" +
              std::to_string(shared_->options.bodies_bytes_per_peer) + "); come again"};
}

void HttpConnection::admit_body(Target& exchange) {
  if (!exchange.chunked && exchange.body_left == 0) return body_complete(exchange);
  if (exchange.body_left > body_limit(exchange)) {
    return refuse(exchange, {413, HttpFault::body_too_large,
                             "the body is larger than " + std::to_string(body_limit(exchange)) + " bytes"});
  }
  if (!body_coding(exchange.request.header("Content-Encoding"))) {
    count(HttpFault::unsupported_encoding);
    return answer_early(exchange, HttpResponse::error(415, "invalid_argument", "Content-Encoding may be gzip or zstd")
                                      .header("Accept-Encoding", "gzip, zstd"));
  }
  if (!exchange.share.raise(shared_->bodies, exchange.body_length, holder())) {
    const ParseFault fault = no_room(exchange.share);
    count(fault.kind);
    return answer_early(exchange,
                        HttpResponse::error(fault.status, "exhausted", fault.message).header("Retry-After", "1"));
  }
  if (exchange.expects_continue) {
    if (queue_.front() != &exchange) {
      state_ = State::held;  // the interim answer would get between the answers before it
      return;
    }
    exchange.expects_continue = false;
    connection_.write(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"));
  }
  begin_body(exchange);
}

void HttpConnection::begin_body(Target& exchange) {
  state_ = State::body;
  body_fault_.reset();
  body_began_ = body_progress_ = body_look_ = mark();
  // Memory for all of it only when it comes: the promise of a length costs a peer nothing.
  if (!make_room(exchange, std::min<std::uint64_t>(exchange.body_left, kFirstBodyBytes)))
    refuse(exchange, *body_fault_);
}

bool HttpConnection::make_room(Target& exchange, std::size_t bytes) {
  const std::size_t limit = body_limit(exchange);
  if (bytes > limit) {
    body_fault_ = {413, HttpFault::body_too_large, "the body is larger than " + std::to_string(limit) + " bytes"};
    return false;
  }
  if (bytes <= exchange.body.capacity() && packed_bytes_ + bytes <= exchange.share.bytes()) return true;
  std::size_t capacity = std::max(bytes, std::min(exchange.body.capacity() * 2, limit));
  if (packed_bytes_ == 0 && exchange.body_length > 0) capacity = std::min<std::size_t>(capacity, exchange.body_length);
  if (!exchange.share.raise(shared_->bodies, packed_bytes_ + capacity, holder())) {
    body_fault_ = no_room(exchange.share);
    return false;
  }
  if (!exchange.body.reserve(capacity)) {
    body_fault_ = {503, HttpFault::no_room, std::string(kNoRoom)};
    return false;
  }
  return true;
}

bool HttpConnection::append_body(void* connection, std::string_view data) {
  auto& self = *static_cast<HttpConnection*>(connection);
  Target& exchange = *self.queue_.back();
  if (!self.make_room(exchange, exchange.body.size() + data.size())) return false;
  exchange.body.append(data);
  return true;
}

std::size_t HttpConnection::read_body(std::string_view data) {
  Target& exchange = *queue_.back();
  std::size_t used = 0;
  bool done = false;
  std::optional<ParseFault> fault;
  if (exchange.chunked) {
    auto fed = parser_.feed_chunked(data, &append_body, this);
    used = fed.used;
    done = fed.done;
    fault = std::move(fed.fault);
    if (body_fault_) fault = std::exchange(body_fault_, std::nullopt);
  } else {
    used = std::min<std::uint64_t>(exchange.body_left, data.size());
    if (append_body(this, data.substr(0, used))) {
      exchange.body_left -= used;
      done = exchange.body_left == 0;
    } else {
      fault = std::exchange(body_fault_, std::nullopt);
    }
  }
  body_bytes_ += used;
  if (fault) {
    refuse(exchange, *fault);
    return data.size();
  }
  if (body_bytes_ - body_progress_.bytes >= kBodyProgress) body_progress_ = mark();
  if (done) body_complete(exchange);
  return used;
}

std::size_t HttpConnection::discard_body(std::string_view data) {
  const std::size_t count = std::min<std::uint64_t>(discard_left_, data.size());
  discard_left_ -= count;
  body_bytes_ += count;
  if (discard_left_ == 0) state_ = State::head;
  return count;
}

void HttpConnection::body_complete(Target& exchange) {
  if (exchange.body.size() > 0) {
    const auto coding = body_coding(exchange.request.header("Content-Encoding")).value_or(BodyCoding::identity);
    if (coding != BodyCoding::identity) {
      BodyBuffer packed;
      packed.swap(exchange.body);
      packed_bytes_ = packed.capacity();
      const auto unpacked = decompress(coding, packed.view(), &append_body, this);
      packed_bytes_ = 0;
      if (!unpacked) {
        auto fault = std::exchange(body_fault_, std::nullopt)
                         .value_or(ParseFault{400, HttpFault::bad_encoding, unpacked.error().message});
        if (fault.kind == HttpFault::body_too_large) fault.message.insert(4, "decompressed ");
        return refuse(exchange, fault);
      }
    }
    exchange.share.lower(exchange.body.capacity());
    HttpRequestAccess::set_body(exchange.request, exchange.body.finish());
  }
  exchange.ready = true;
  if (may_dispatch(exchange)) {
    dispatch(exchange);
  } else {
    state_ = State::held;
  }
}

void HttpConnection::drop_body(Target& exchange) {
  HttpRequestAccess::set_no_body(exchange.request);
  exchange.body.clear();
  exchange.share.give_back();
}

Duration HttpConnection::body_look_time() const {
  return time_to_finish(std::min(kLookTime, shared_->options.body_time));
}

std::optional<ParseFault> HttpConnection::judge_body(Duration now) {
  const auto& options = shared_->options;
  if (now - body_progress_.time >= options.body_time) {
    return ParseFault{408, HttpFault::body_timeout, "the request body did not arrive in time"};
  }
  const Duration age = now - body_began_.time;
  const auto received = static_cast<double>(body_bytes_ - body_began_.bytes);
  if (age >= options.body_rate_grace && received < static_cast<double>(options.body_rate) * age.seconds()) {
    return ParseFault{408, HttpFault::body_too_slow,
                      "the request body comes slower than " + std::to_string(options.body_rate) + " bytes a second"};
  }
  const Mark seen = std::exchange(body_look_, mark());
  if (state_ == State::body && age >= kJustBegun && shared_->bodies->short_of_room(now)) {
    const double needed =
        static_cast<double>(queue_.back()->share.bytes()) * ((now - seen.time).seconds() / kRoomTime.seconds());
    if (static_cast<double>(body_bytes_ - seen.bytes) < needed) {
      return ParseFault{408, HttpFault::room_needed, "the request body comes slowly, and others need the room"};
    }
  }
  if (!connection_.draining()) return std::nullopt;
  if (drain_began_.ns == 0) {
    drain_began_ = now;
    drain_look_ = mark();
  }
  const Duration grace = options.tcp.drain_grace;
  if (now - drain_look_.time < grace) return std::nullopt;
  const Mark before = std::exchange(drain_look_, mark());
  if (body_bytes_ - before.bytes >= kBodyProgress && now - drain_began_ < grace * kDrainGraces) return std::nullopt;
  return ParseFault{503, HttpFault::draining, "the server is stopping and does not wait for the rest of the body"};
}

}  // namespace flux::net
