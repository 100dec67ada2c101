#include "net/http.h"

#include <algorithm>
#include <array>

#include "core/hash.h"
#include "net/body_budget.h"
#include "observe/json.h"

namespace flux::net {
namespace {

constexpr std::array<std::string_view, kMethodCount> kMethods = {"GET",   "HEAD",   "POST",   "PUT",
                                                                 "PATCH", "DELETE", "OPTIONS"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Calls `see(name, value)`, both escaped, for each parameter until it returns false.
template <class See>
void each_query_parameter(std::string_view query, See see) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    const auto value = equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    if (!see(pair.substr(0, equals), value)) return;
  }
}

/// A query part that is broken (`%zz`) is taken literally, as browsers do.
std::string decode_query(std::string_view text) { return percent_decode(text, true).value_or(std::string(text)); }

bool tag_listed(std::string_view list, std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  while (!list.empty()) {
    const auto comma = list.find(',');
    auto item = trim(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    if (item == "*") return true;
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == etag) return true;
  }
  return false;
}

}  // namespace

std::string_view to_string(Method method) { return kMethods[static_cast<std::size_t>(method)]; }

std::optional<Method> method_from(std::string_view text) {
  const auto found = std::ranges::find(kMethods, text);
  if (found == kMethods.end()) return std::nullopt;
  return static_cast<Method>(found - kMethods.begin());
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const char low = lower(c);
    if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

HttpRequest::HttpRequest() : body_data_(BodyBuffer::nothing().data()) {}
HttpRequest::~HttpRequest() = default;

std::string HttpRequest::path() const { return percent_decode(raw_path_).value_or(std::string(raw_path_)); }

std::string_view HttpRequest::param(std::string_view name) const {
  for (const auto& [key, value] : params_) {
    if (key == name) return value;
  }
  return {};
}

std::optional<std::string> HttpRequest::query(std::string_view name) const {
  std::optional<std::string> found;
  each_query_parameter(raw_query_, [&](std::string_view key, std::string_view value) {
    if (key != name && decode_query(key) != name) return true;
    found = decode_query(value);
    return false;
  });
  return found;
}

std::vector<std::string> HttpRequest::query_all(std::string_view name) const {
  std::vector<std::string> all;
  each_query_parameter(raw_query_, [&](std::string_view key, std::string_view value) {
    if (key == name || decode_query(key) == name) all.push_back(decode_query(value));
    return true;
  });
  return all;
}

std::vector<std::pair<std::string, std::string>> HttpRequest::query_params() const {
  std::vector<std::pair<std::string, std::string>> all;
  each_query_parameter(raw_query_, [&](std::string_view key, std::string_view value) {
    all.emplace_back(decode_query(key), decode_query(value));
    return true;
  });
  return all;
}

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& field : fields_) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

bool HttpRequest::has_header(std::string_view name) const {
  return std::ranges::any_of(fields_, [&](const Field& field) { return equals_ignoring_case(field.name, name); });
}

std::string_view HttpRequest::cookie(std::string_view name) const {
  for (const auto& field : fields_) {
    if (!equals_ignoring_case(field.name, "Cookie")) continue;
    auto rest = field.value;
    while (!rest.empty()) {
      const auto end = rest.find(';');
      const auto pair = trim(rest.substr(0, end));
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
      const auto equals = pair.find('=');
      if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
      auto value = pair.substr(equals + 1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      return value;
    }
  }
  return {};
}

std::pair<std::string_view, std::string_view> HttpRequest::authorization() const {
  const auto value = header("Authorization");
  const auto space = value.find(' ');
  if (space == std::string_view::npos) return {value, {}};
  return {value.substr(0, space), trim(value.substr(space + 1))};
}

std::string HttpRequest::content_type() const {
  const auto value = header("Content-Type");
  std::string type(trim(value.substr(0, value.find(';'))));
  std::ranges::transform(type, type.begin(), lower);
  return type;
}

runtime::CancelToken HttpRequest::cancelled() const {
  if (!cancel_) cancel_.emplace();
  return cancel_->token();
}

// ---------------------------------------------------------------------------------------------------------------------

HttpResponse& HttpResponse::header(std::string name, std::string value) & {
  headers.emplace_back(std::move(name), std::move(value));
  return *this;
}

HttpResponse&& HttpResponse::header(std::string name, std::string value) && {
  headers.emplace_back(std::move(name), std::move(value));
  return std::move(*this);
}

std::string_view HttpResponse::find_header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return {};
}

namespace {
HttpResponse of_type(int status, const char* type, std::string body) {
  HttpResponse response;
  response.status = status;
  response.headers.emplace_back("Content-Type", type);
  response.body = std::move(body);
  return response;
}
}  // namespace

HttpResponse HttpResponse::json(int status, std::string body) {
  return of_type(status, "application/json", std::move(body));
}
HttpResponse HttpResponse::text(int status, std::string body) {
  return of_type(status, "text/plain; charset=utf-8", std::move(body));
}
HttpResponse HttpResponse::html(int status, std::string body) {
  return of_type(status, "text/html; charset=utf-8", std::move(body));
}

HttpResponse HttpResponse::empty(int status) {
  HttpResponse response;
  response.status = status;
  return response;
}

HttpResponse HttpResponse::error(const Error& error) {
  return json(status_of(error.code), error_json(flux::to_string(error.code), error.message, error.field));
}

HttpResponse HttpResponse::error(int status, std::string_view code, std::string_view message, std::string_view field) {
  return json(status, error_json(code, message, field));
}

HttpResponse HttpResponse::stream(int status, std::string content_type, BodyProducer producer) {
  HttpResponse response;
  response.status = status;
  response.headers.emplace_back("Content-Type", std::move(content_type));
  response.producer = std::move(producer);
  return response;
}

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument: return 400;
    case ErrorCode::unauthenticated: return 401;
    case ErrorCode::permission_denied: return 403;
    case ErrorCode::not_found: return 404;
    case ErrorCode::already_exists: return 409;
    case ErrorCode::too_large: return 413;
    case ErrorCode::exhausted: return 429;
    case ErrorCode::unavailable: return 503;
    case ErrorCode::timed_out: return 504;
    case ErrorCode::cancelled: return 503;  // the caller that went away does not see it; a draining server's does
    default: return 500;
  }
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Status";
  }
}

std::string error_json(std::string_view code, std::string_view message, std::string_view field) {
  std::string out = R"({"error":{"code":)";
  observe::append_json_string(out, code);
  out += R"(,"message":)";
  observe::append_json_string(out, message);
  if (!field.empty()) {
    out += R"(,"field":)";
    observe::append_json_string(out, field);
  }
  return out += "}}";
}

std::string make_etag(std::string_view content) {
  return '"' + to_string(hash128(std::as_bytes(std::span(content)))) + '"';
}

bool if_none_match(const HttpRequest& request, std::string_view etag) {
  return tag_listed(request.header("If-None-Match"), etag);
}

HttpResponse with_etag(const HttpRequest& request, HttpResponse response, const std::string& etag) {
  response.header("ETag", etag);
  const bool safe = request.method() == Method::get || request.method() == Method::head;
  if (safe && response.status == 200 && if_none_match(request, etag)) {
    response.status = 304;
    response.body.clear();
    response.shared_body = nullptr;
    response.producer = nullptr;
    std::erase_if(response.headers, [](const auto& header) {
      return equals_ignoring_case(header.first, "Content-Type") ||
             equals_ignoring_case(header.first, "Content-Encoding");
    });
  }
  return response;
}

std::string Cookie::header_value() const {
  std::string out = name + "=" + value;
  if (!path.empty()) out += "; Path=" + path;
  if (max_age) out += "; Max-Age=" + std::to_string(max_age->ns / 1'000'000'000);
  if (http_only) out += "; HttpOnly";
  if (secure) out += "; Secure";
  out += same_site == SameSite::strict ? "; SameSite=Strict"
         : same_site == SameSite::lax  ? "; SameSite=Lax"
                                       : "; SameSite=None";
  return out;
}

std::string sse_event(std::string_view event, std::string_view data, std::string_view id) {
  std::string out;
  out.reserve(event.size() + data.size() + id.size() + 32);
  if (!event.empty()) out.append("event: ").append(event).append("\n");
  if (!id.empty()) out.append("id: ").append(id).append("\n");
  for (;;) {
    const auto end = data.find('\n');
    out.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + 1);
  }
  return out += "\n";
}

}  // namespace flux::net
