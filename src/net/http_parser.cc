#include "net/http_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cstring>

namespace flux::net {
namespace {

namespace beast_http = boost::beast::http;

/// A chunk's size line with its extensions, or the trailers, may not be longer than this.
constexpr std::size_t kChunkLineBytes = 8 * 1024;

ParseFault malformed(std::string message) { return {400, HttpFault::malformed, std::move(message)}; }

class Parser final : public beast_http::basic_parser<true> {
 public:
  RequestHead* head = nullptr;
  std::vector<HttpRequest::Field>* fields = nullptr;
  int version = 11;
  bool (*append)(void*, std::string_view) = nullptr;
  void* context = nullptr;
  bool refused = false;

 private:
  using error_code = boost::beast::error_code;
  using view = boost::beast::string_view;
  static std::string_view text(view v) { return {v.data(), v.size()}; }

  void on_request_impl(beast_http::verb, view method, view target, int number, error_code&) override {
    head->method = text(method);
    head->target = text(target);
    version = number;
  }
  void on_response_impl(int, view, int, error_code&) override {}
  void on_field_impl(beast_http::field, view name, view value, error_code&) override {
    // Trailers come here too; nobody may add headers behind the checks of the head.
    if (fields != nullptr) fields->push_back({text(name), text(value)});
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(view body, error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, view body, error_code& error) override {
    if (!append(context, text(body))) {
      refused = true;
      error = beast_http::error::body_limit;
      return 0;
    }
    return body.size();
  }
  void on_finish_impl(error_code&) override {}
};

/// The request line ends with `HTTP/` digit `.` digit: a version, if not one of ours.
bool names_a_version(std::string_view head) {
  const auto line = head.substr(0, head.find("\r\n"));
  if (line.size() < 9 || std::ranges::count(line, ' ') != 2) return false;
  const auto version = line.substr(line.size() - 9);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return version.starts_with(" HTTP/") && digit(version[6]) && version[7] == '.' && digit(version[8]);
}

ParseFault to_fault(const boost::beast::error_code& error, std::string_view head) {
  using e = beast_http::error;
  if (error == e::bad_version) {
    if (!names_a_version(head)) return malformed("the request line does not end with a version");
    return {505, HttpFault::bad_version, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  }
  if (error == e::bad_method) return malformed("the request line does not begin with a method");
  if (error == e::bad_target) return malformed("the request target holds a character that is not allowed");
  if (error == e::bad_field) return malformed("a header name holds a character that is not allowed");
  if (error == e::bad_value) return malformed("a header value holds a character that is not allowed");
  if (error == e::bad_content_length || error == e::multiple_content_length) {
    return malformed("Content-Length is not one decimal number");
  }
  if (error == e::bad_transfer_encoding) return malformed("Transfer-Encoding conflicts with another header");
  if (error == e::bad_line_ending) return malformed("a line does not end with CR LF");
  if (error == e::bad_chunk || error == e::bad_chunk_extension) return malformed("the chunked body is broken");
  return malformed("the request is malformed: " + error.message());
}

bool is_digits(std::string_view text) {
  if (text.empty() || text.size() > 18) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

bool is_host(std::string_view text) {
  for (const char c : text) {
    const bool fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      std::strchr("-._~:[]%!$&'()*+,;=", c) != nullptr;
    if (!fine || c == '\0') return false;
  }
  return true;
}

/// The rules that decide where a request ends: two readers that disagree here are how requests are smuggled.
std::optional<ParseFault> check_framing(const Parser& parser, RequestHead& head,
                                        const std::vector<HttpRequest::Field>& fields) {
  int hosts = 0;
  int lengths = 0;
  int codings = 0;
  for (const auto& [name, value] : fields) {
    if (equals_ignoring_case(name, "Host")) {
      ++hosts;
      if (!is_host(value)) return malformed("Host holds a character that is not allowed");
    } else if (equals_ignoring_case(name, "Content-Length")) {
      ++lengths;
      if (!is_digits(value)) return malformed("Content-Length is not one decimal number");
      head.content_length = std::stoull(std::string(value));
    } else if (equals_ignoring_case(name, "Transfer-Encoding")) {
      ++codings;
      if (!equals_ignoring_case(value, "chunked")) {
        return ParseFault{501, HttpFault::unsupported_encoding, "the only Transfer-Encoding taken is chunked"};
      }
    } else if (equals_ignoring_case(name, "Expect")) {
      if (!equals_ignoring_case(value, "100-continue")) {
        return ParseFault{417, HttpFault::expectation, "the only expectation met is 100-continue"};
      }
      head.expects_continue = !head.http_1_0;
    }
  }
  if (hosts > 1) return malformed("there is more than one Host header");
  if (hosts == 0 && !head.http_1_0) return malformed("the Host header is missing");
  if (lengths > 1) return malformed("there is more than one Content-Length header");
  if (codings > 1) return malformed("there is more than one Transfer-Encoding header");
  if (codings > 0 && lengths > 0) return malformed("Content-Length and Transfer-Encoding exclude each other");
  if (codings > 0 && head.http_1_0) return malformed("HTTP/1.0 has no Transfer-Encoding");
  head.chunked = codings > 0;
  if (head.chunked != parser.chunked()) return malformed("Transfer-Encoding is not understood");
  return std::nullopt;
}

}  // namespace

struct RequestParser::Impl {
  std::optional<Parser> parser;
};

RequestParser::RequestParser() : impl_(std::make_unique<Impl>()) {}
RequestParser::~RequestParser() = default;

HeadScan scan_head(std::string_view data, std::size_t& scanned) {
  while (scanned < data.size()) {
    const void* const found = std::memchr(data.data() + scanned, '\n', data.size() - scanned);
    if (found == nullptr) {
      scanned = data.size();
      return {};
    }
    const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - data.data());
    if (at == 0 || data[at - 1] != '\r') return {0, malformed("a line ends with a bare line feed")};
    if (at >= 3 && data[at - 2] == '\n') return {at + 1, std::nullopt};
    if (at + 1 == data.size()) {
      scanned = at;  // the next byte decides whether the line is folded: look at this end of line again
      return {};
    }
    if (data[at + 1] == ' ' || data[at + 1] == '\t') return {0, malformed("a header line is folded")};
    scanned = at + 1;
  }
  return {};
}

std::optional<ParseFault> RequestParser::parse_head(std::string_view text, RequestHead& head,
                                                    std::vector<HttpRequest::Field>& fields) {
  Parser& parser = impl_->parser.emplace();
  parser.header_limit(UINT32_MAX);  // the connection keeps the limits, so that each has its own answer
  parser.body_limit(boost::none);
  head = {};
  fields.clear();
  parser.head = &head;
  parser.fields = &fields;
  boost::beast::error_code error;
  const std::size_t used = parser.put(boost::asio::buffer(text.data(), text.size()), error);
  parser.fields = nullptr;
  parser.head = nullptr;
  if (error && error != beast_http::error::need_more) return to_fault(error, text);
  if (!parser.is_header_done() || used != text.size()) return malformed("the request head is malformed");
  if (parser.version != 10 && parser.version != 11) return to_fault(beast_http::error::bad_version, text);
  head.http_1_0 = parser.version == 10;
  if (auto fault = check_framing(parser, head, fields)) return fault;
  head.keep_alive = parser.keep_alive();
  return std::nullopt;
}

RequestParser::Fed RequestParser::feed_chunked(std::string_view data, bool (*append)(void*, std::string_view),
                                               void* context) {
  Parser& parser = *impl_->parser;
  parser.append = append;
  parser.context = context;
  Fed fed;
  while (!parser.is_done()) {
    const auto rest = data.substr(fed.used);
    if (rest.empty()) return fed;  // within a chunk Beast would say neither "more" nor anything else
    boost::beast::error_code error;
    fed.used += parser.put(boost::asio::buffer(rest.data(), rest.size()), error);
    if (error == beast_http::error::need_more) {
      if (data.size() - fed.used > kChunkLineBytes)
        fed.fault = malformed("a chunk's size line or the trailers are too long");
      return fed;
    }
    if (parser.refused || error == beast_http::error::body_limit) {
      fed.fault = ParseFault{413, HttpFault::body_too_large, {}};
      return fed;
    }
    if (error) {
      fed.fault = to_fault(error, {});
      return fed;
    }
  }
  fed.done = true;
  return fed;
}

}  // namespace flux::net
