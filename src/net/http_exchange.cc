#include <algorithm>
#include <charconv>

#include "net/http_connection.h"

namespace flux::net {

void HttpRequestAccess::reset(HttpRequest& request) {
  request.fields_.clear();
  request.params_.clear();
  request.principal.reset();
  request.cancel_.reset();
  request.route_ = nullptr;
  request.target_ = request.raw_path_ = request.raw_query_ = {};
  set_no_body(request);
}

void HttpRequestAccess::set_origin(HttpRequest& request, const Address& peer, runtime::Shard& shard) {
  request.peer_ = peer;
  request.shard_ = &shard;
}

bool HttpRequestAccess::set_target(HttpRequest& request, Method method, const RequestHead& head) {
  request.method_ = method;
  request.http_1_0_ = head.http_1_0;
  request.target_ = head.target;
  auto target = head.target;
  if (target.find('#') != std::string_view::npos) return false;
  if (!target.starts_with('/')) {
    if (target == "*" && method == Method::options) {
      request.raw_path_ = target;
      return true;
    }
    // The absolute form, as sent to proxies, must be taken too.
    const auto scheme = target.find("://");
    if (scheme == std::string_view::npos) return false;
    if (!equals_ignoring_case(target.substr(0, scheme), "http") &&
        !equals_ignoring_case(target.substr(0, scheme), "https")) {
      return false;
    }
    const auto path = target.find_first_of("/?", scheme + 3);
    if (path == std::string_view::npos) {
      request.raw_path_ = "/";
      return true;
    }
    target = target.substr(path);
    if (target.front() == '?') {
      request.raw_path_ = "/";
      request.raw_query_ = target.substr(1);
      return true;
    }
  }
  const auto question = target.find('?');
  request.raw_path_ = target.substr(0, question);
  request.raw_query_ = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  return true;
}

bool HttpRequestAccess::set_route(HttpRequest& request, const Router::Route& route, const Router::Match& match) {
  request.route_ = &route.info;
  std::size_t escaped = 0;
  for (const auto& [name, value] : match.params) escaped += value.size();
  request.decoded_params_.clear();
  request.decoded_params_.reserve(escaped);  // decoding never grows, so the views stay valid
  for (const auto& [name, value] : match.params) {
    if (value.find('%') == std::string_view::npos) {
      // The match looks into the request's own head.
      request.params_.emplace_back(name, value);
      continue;
    }
    const auto decoded = percent_decode(value);
    if (!decoded || decoded->find('\0') != std::string::npos) return false;
    const std::size_t begin = request.decoded_params_.size();
    request.decoded_params_ += *decoded;
    request.params_.emplace_back(name, std::string_view(request.decoded_params_).substr(begin));
  }
  return true;
}

void HttpRequestAccess::set_body(HttpRequest& request, std::string_view body) {
  request.body_data_ = body.data();
  request.body_size_ = body.size();
}

void HttpRequestAccess::set_no_body(HttpRequest& request) { set_body(request, BodyBuffer::nothing()); }

void HttpRequestAccess::cancel(HttpRequest& request) {
  if (!request.cancel_) request.cancel_.emplace();
  const runtime::CancelSource source = *request.cancel_;  // a callback may end the request
  source.cancel();
}

// ---------------------------------------------------------------------------------------------------------------------

Responder::Target::Target(HttpConnection* owner) : connection(owner) {}
Responder::Target::~Target() = default;

void Responder::Target::release() {
  if (--references > 0) return;
  if (connection != nullptr) {
    connection->recycle(this);
  } else {
    delete this;
  }
}

void Responder::Target::answer(HttpResponse given) {
  if (answered) return;
  answered = true;
  if (connection == nullptr) return;
  if (route != nullptr) {
    for (const auto& hook : route->hooks()) hook(request, given);
  }
  status = given.status;
  response.emplace(std::move(given));
  connection->pump();
}

void Responder::Target::answer_json(int code, std::string_view json) {
  if (answered) return;
  if (connection == nullptr || connection->queue_.front() != this || request.method() == Method::head) {
    auto given = HttpResponse::json(code, std::string(json));
    if (answered || connection == nullptr) {
      answered = true;
      return;
    }
    answered = true;
    status = code;
    response.emplace(std::move(given));
    connection->pump();
    return;
  }
  answered = true;
  connection->write_json(*this, code, json);
  connection->pump();
}

Responder::~Responder() {
  if (target_ == nullptr) return;
  Target* const target = std::exchange(target_, nullptr);
  if (!target->answered) {
    target->answer(HttpResponse::error(500, "internal", "the request was dropped without an answer"));
  }
  target->release();
}

void Responder::send(HttpResponse response) {
  if (target_ == nullptr) return;
  Target* const target = std::exchange(target_, nullptr);
  target->answer(std::move(response));
  target->release();
}

void Responder::send_json(int status, std::string_view body) {
  if (target_ == nullptr) return;
  Target* const target = std::exchange(target_, nullptr);
  target->answer_json(status, body);
  target->release();
}

void Responder::send_error(const Error& error) { send(HttpResponse::error(error)); }

bool Responder::gone() const { return target_ == nullptr || target_->connection == nullptr; }

HttpRequest& Responder::request() const { return target_->request; }

// ---------------------------------------------------------------------------------------------------------------------

StreamWriter::StreamWriter(Responder::Target& exchange, BodyProducer producer, bool chunked, bool compress)
    : exchange_(exchange), producer_(std::move(producer)), chunked_(chunked) {
  if (compress) gzip_ = std::make_unique<GzipStream>();
}

void StreamWriter::put(std::string_view data) {
  if (data.empty()) return;
  auto& connection = exchange_.connection->connection();
  exchange_.bytes_sent += data.size();
  if (!chunked_) {
    connection.write(data);
    return;
  }
  std::array<char, 20> size;
  char* const end = std::to_chars(size.data(), size.data() + size.size(), data.size(), 16).ptr;
  connection.write(std::string_view(size.data(), end));
  connection.write(std::string_view("\r\n"));
  connection.write(data);
  connection.write(std::string_view("\r\n"));
}

void StreamWriter::put_shared(const SharedBytes& data) {
  if (data->empty()) return;
  if (gzip_ || data->size() < 4096) {
    try_write(std::string_view(*data));
    return;
  }
  auto& connection = exchange_.connection->connection();
  exchange_.bytes_sent += data->size();
  if (chunked_) {
    std::array<char, 20> size;
    char* const end = std::to_chars(size.data(), size.data() + size.size(), data->size(), 16).ptr;
    connection.write(std::string_view(size.data(), end));
    connection.write(std::string_view("\r\n"));
  }
  connection.write(data);
  if (chunked_) connection.write(std::string_view("\r\n"));
}

bool StreamWriter::try_write(std::string_view data) {
  if (exchange_.connection == nullptr || exchange_.connection->connection().closing()) return false;
  if (gzip_) {
    put(gzip_->add(data, GzipStream::Until::more));
  } else {
    put(data);
  }
  return true;
}

bool StreamWriter::try_write(const SharedBytes& data) {
  if (exchange_.connection == nullptr || exchange_.connection->connection().closing()) return false;
  put_shared(data);
  return true;
}

Async<void> StreamWriter::write(std::string data) {
  if (!try_write(std::string_view(data))) co_return fail(ErrorCode::cancelled, "the peer has gone");
  co_return co_await writable();
}

Async<void> StreamWriter::write(SharedBytes data) {
  if (!try_write(data)) co_return fail(ErrorCode::cancelled, "the peer has gone");
  co_return co_await writable();
}

Async<void> StreamWriter::flush() {
  if (exchange_.connection == nullptr || exchange_.connection->connection().closing()) {
    co_return fail(ErrorCode::cancelled, "the peer has gone");
  }
  if (gzip_) put(gzip_->add({}, GzipStream::Until::flush));
  co_return co_await writable();
}

std::size_t StreamWriter::buffered_bytes() const {
  return exchange_.connection == nullptr ? 0 : exchange_.connection->connection().buffered_bytes();
}

Async<void> StreamWriter::writable() {
  while (exchange_.connection != nullptr && exchange_.connection->connection().above_high_water()) {
    if (!waiting_ || waiting_->resolved()) waiting_.emplace();
    const auto woken = *waiting_;
    CO_DO(co_await woken);
  }
  if (exchange_.connection == nullptr) co_return fail(ErrorCode::cancelled, "the peer has gone");
  co_return {};
}

void StreamWriter::wake(bool gone) {
  if (!waiting_) return;
  const auto woken = *std::exchange(waiting_, std::nullopt);
  if (gone) {
    woken.resolve(fail(ErrorCode::cancelled, "the peer has gone"));
  } else {
    woken.resolve({});
  }
}

void StreamWriter::finish() {
  if (gzip_) put(gzip_->add({}, GzipStream::Until::end));
  if (chunked_) exchange_.connection->connection().write(std::string_view("0\r\n\r\n"));
}

}  // namespace flux::net
