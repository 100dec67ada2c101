#include <array>
#include <charconv>
#include <ctime>

#include "net/http_connection.h"
#include "runtime/spawn.h"

namespace flux::net {
namespace {

constexpr std::size_t kCompressFrom = 1024;
constexpr std::size_t kMoveFrom = 8 * 1024;  // larger bodies are sent from where they are

/// `Sun, 06 Nov 1994 08:49:37 GMT`, made once a second.
std::string_view http_date() {
  thread_local std::int64_t second = -1;
  thread_local std::array<char, 40> text;
  thread_local std::size_t size = 0;
  const std::int64_t now = wall_now().ns / 1'000'000'000;
  if (now != second) {
    second = now;
    const std::time_t time = now;
    std::tm parts{};
    gmtime_r(&time, &parts);
    size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return {text.data(), size};
}

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

void append_status(std::string& out, int status) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(status));
  out += ' ';
  out += reason_phrase(status);
  out += "\r\nDate: ";
  out += http_date();
  out += "\r\n";
}

/// A line end inside a header would let its author write headers of his own.
void append_clean(std::string& out, std::string_view text) {
  for (const char c : text) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
}

bool has_body(int status) { return status >= 200 && status != 204 && status != 304; }

/// One buffer for all heads of a thread.
std::string& head_buffer() {
  thread_local std::string buffer;
  buffer.clear();
  return buffer;
}

/// Compresses the body where the peer takes it; the tag becomes weak, since the bytes differ.
void compress(HttpResponse& response, const HttpRequest& request, std::string_view body) {
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (negotiate(request.header("Accept-Encoding"), true, false) != Coding::gzip) return;
  auto packed = gzip(body, 1);
  if (packed.size() >= body.size()) return;
  response.body = std::move(packed);
  response.shared_body = nullptr;
  for (auto& [name, value] : response.headers) {
    if (equals_ignoring_case(name, "ETag") && !value.starts_with("W/")) value.insert(0, "W/");
  }
  response.headers.emplace_back("Content-Encoding", "gzip");
}

}  // namespace

void HttpConnection::write_head(Target& exchange, const HttpResponse& response, std::optional<std::size_t> length,
                                bool chunked) {
  auto& out = head_buffer();
  append_status(out, response.status);
  for (const auto& [name, value] : response.headers) {
    append_clean(out, name);
    out += ": ";
    append_clean(out, value);
    out += "\r\n";
  }
  out += shared_->fixed_headers;
  if (length) {
    out += "Content-Length: ";
    append_number(out, *length);
    out += "\r\n";
  }
  if (chunked) out += "Transfer-Encoding: chunked\r\n";
  if (!exchange.keep_alive) {
    out += "Connection: close\r\n";
  } else if (exchange.request.is_http_1_0()) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  connection_.write(std::string_view(out));
}

void HttpConnection::write_json(Target& exchange, int status, std::string_view json) {
  if (connection_.draining() && queue_.size() == 1) exchange.keep_alive = false;
  exchange.status = status;
  auto& out = head_buffer();
  append_status(out, status);
  out += "Content-Type: application/json\r\n";
  out += shared_->fixed_headers;
  out += "Content-Length: ";
  append_number(out, json.size());
  if (!exchange.keep_alive) {
    out += "\r\nConnection: close";
  } else if (exchange.request.is_http_1_0()) {
    out += "\r\nConnection: keep-alive";
  }
  out += "\r\n\r\n";
  out += json;
  connection_.write(std::string_view(out));
  exchange.bytes_sent = json.size();
  exchange.finished = true;
}

void HttpConnection::write_answer(Target& exchange) {
  HttpResponse& response = *exchange.response;
  const HttpRequest& request = exchange.request;
  const bool head_only = request.method() == Method::head;
  if (connection_.draining() && queue_.size() == 1) exchange.keep_alive = false;

  if (response.producer) {
    const bool chunked = !request.is_http_1_0();
    if (!chunked) exchange.keep_alive = false;  // the end of the connection is the end of the body
    const bool packed = response.compress_stream && chunked &&
                        negotiate(request.header("Accept-Encoding"), true, false) == Coding::gzip;
    if (response.compress_stream) response.headers.emplace_back("Vary", "Accept-Encoding");
    if (packed) response.headers.emplace_back("Content-Encoding", "gzip");
    write_head(exchange, response, std::nullopt, chunked);
    if (head_only) {
      exchange.finished = true;
      return;
    }
    exchange.stream = std::make_unique<StreamWriter>(exchange, std::move(response.producer), chunked, packed);
    // A server that drains sends no new endless streams, but what ends by itself.
    if (connection_.draining()) exchange.stream->cancel();
    runtime::spawn_now(run_stream(ExchangeRef(&exchange)), "http stream");
    return;
  }

  const auto body_of = [&] {
    return response.shared_body ? std::string_view(*response.shared_body) : std::string_view(response.body);
  };
  if (response.compress && body_of().size() >= kCompressFrom &&
      body_of().size() <= shared_->options.inline_compress_bytes && exchange.route != nullptr &&
      response.find_header("Content-Encoding").empty() && is_compressible(response.find_header("Content-Type"))) {
    compress(response, request, body_of());
  }
  const auto body = body_of();
  const bool with_body = has_body(response.status);
  write_head(exchange, response, with_body ? std::optional(body.size()) : std::nullopt, false);
  exchange.finished = true;
  if (!with_body || head_only || body.empty()) return;
  exchange.bytes_sent = body.size();
  if (response.shared_body) {
    connection_.write(response.shared_body);
  } else if (body.size() >= kMoveFrom) {
    connection_.write(std::make_shared<const std::string>(std::move(response.body)));
  } else {
    connection_.write(body);
  }
}

void HttpConnection::upgrade(Target& exchange) {
  const HttpRequest& request = exchange.request;
  auto handshake = WebSocketHandshake::check(request);
  if (handshake.refusal) return answer_early(exchange, std::move(*handshake.refusal));
  auto socket = std::make_unique<WebSocketSession>(connection_, shared_->options, shared_->bodies, handshake);
  auto handler = exchange.route->websocket(exchange.request, *socket);
  if (!handler) return exchange.answer(HttpResponse::error(handler.error()));

  auto& out = head_buffer();
  append_status(out, 101);
  out += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
  out += handshake.accept;
  if (handshake.deflate) {
    out += "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  }
  if (!socket->protocol().empty()) {
    out += "\r\nSec-WebSocket-Protocol: ";
    append_clean(out, socket->protocol());
  }
  out += "\r\n\r\n";
  connection_.write(std::string_view(out));
  if (deadline_ != Deadline::none) connection_.set_deadline({});
  deadline_ = Deadline::none;
  websocket_ = std::move(socket);
  exchange.status = 101;
  exchange.answered = exchange.finished = true;
  exchange.keep_alive = true;
  pump();
  connection_.resume_reading();
  websocket_->open(std::move(*handler));
}

}  // namespace flux::net
