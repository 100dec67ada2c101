#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "net/address.h"
#include "net/shared_bytes.h"
#include "runtime/async.h"
#include "runtime/cancel.h"
#include "runtime/shard.h"

namespace flux::net {

enum class Method : std::uint8_t { get, head, post, put, patch, del, options };
inline constexpr std::size_t kMethodCount = 7;
std::string_view to_string(Method method);  ///< `GET`, …
std::optional<Method> method_from(std::string_view text);

/// Header names compare without regard to ASCII case.
bool equals_ignoring_case(std::string_view a, std::string_view b);
/// Without the blanks and tabs around it.
std::string_view trim(std::string_view text);

/// `a%20b+c` → `a b+c` (`+` → space only for query parts). Nothing for a broken escape.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
std::string percent_encode(std::string_view text);

/// Metadata of the route that a request has matched.
struct RouteInfo {
  Method method{};
  std::string pattern;         ///< `/api/v1/devices/{device}`
  std::string name;            ///< for metrics and logs; the pattern when not given
  std::string access;          ///< opaque to net: what the access hook needs to know (`public`, a permission, …)
  std::size_t body_limit = 0;  ///< bytes, also after decompression; 0: the server's
  bool overlap = false;        ///< see RouteOptions
};

/// A complete request. Lives on its connection's shard from dispatch until it has been answered; views into it die
/// then.
class HttpRequest {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  HttpRequest();
  ~HttpRequest();
  HttpRequest(const HttpRequest&) = delete;
  HttpRequest& operator=(const HttpRequest&) = delete;

  [[nodiscard]] Method method() const { return method_; }
  [[nodiscard]] std::string_view target() const { return target_; }      ///< as sent: path and query
  [[nodiscard]] std::string_view raw_path() const { return raw_path_; }  ///< as sent, still escaped
  [[nodiscard]] std::string path() const;                                ///< decoded
  [[nodiscard]] std::string_view raw_query() const { return raw_query_; }
  [[nodiscard]] bool is_http_1_0() const { return http_1_0_; }

  /// A path parameter, decoded (`{device}`: may hold a slash that was sent as %2F). Empty when the route has none so
  /// named.
  [[nodiscard]] std::string_view param(std::string_view name) const;

  /// The first query parameter of that name, decoded; nothing when absent.
  [[nodiscard]] std::optional<std::string> query(std::string_view name) const;
  /// All of that name, in order.
  [[nodiscard]] std::vector<std::string> query_all(std::string_view name) const;
  /// All parameters, decoded, in order.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> query_params() const;

  /// The first header of that name (any case), without surrounding blanks; empty when absent.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  [[nodiscard]] bool has_header(std::string_view name) const;
  [[nodiscard]] std::span<const Field> headers() const { return fields_; }
  /// The value of one cookie; empty when absent.
  [[nodiscard]] std::string_view cookie(std::string_view name) const;
  /// Scheme and rest of `Authorization` (`Bearer`, `abc`); empty views when absent.
  [[nodiscard]] std::pair<std::string_view, std::string_view> authorization() const;

  /// Decompressed and contiguous. At least 64 zero bytes that may be read lie behind it (for simdjson).
  [[nodiscard]] std::string_view body() const { return {body_data_, body_size_}; }
  /// The media type without parameters, lower case: `application/json`.
  [[nodiscard]] std::string content_type() const;

  [[nodiscard]] const Address& peer() const { return peer_; }
  [[nodiscard]] runtime::Shard& shard() const { return *shard_; }
  [[nodiscard]] const RouteInfo& route() const { return *route_; }

  /// Who asks: set by the access hook, opaque to net.
  std::shared_ptr<const void> principal;
  template <class T>
  [[nodiscard]] const T* principal_as() const {
    return static_cast<const T*>(principal.get());
  }

  /// Cancelled when the peer has gone or has ended its side: long work may end early. An answer is sent all the same
  /// where the peer still reads.
  [[nodiscard]] runtime::CancelToken cancelled() const;

 private:
  friend class HttpConnection;
  friend struct HttpRequestAccess;

  Method method_{};
  bool http_1_0_ = false;
  std::string_view target_;
  std::string_view raw_path_;
  std::string_view raw_query_;
  std::string head_;  // what the views point into
  std::vector<Field> fields_;
  std::vector<std::pair<std::string_view, std::string_view>> params_;
  std::string decoded_params_;
  const char* body_data_ = nullptr;
  std::size_t body_size_ = 0;
  Address peer_;
  runtime::Shard* shard_ = nullptr;
  const RouteInfo* route_ = nullptr;
  std::optional<runtime::CancelSource> mutable cancel_;
};

/// Where a streaming answer writes: each write is one chunk. Used by one coroutine on the connection's shard.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  /// Queues `data` and waits while more than the high water mark is buffered. `cancelled` when the peer has gone.
  virtual Async<void> write(std::string data) = 0;
  virtual Async<void> write(SharedBytes data) = 0;
  /// Hands over what compression holds back, so that the peer sees all that was written. Does nothing otherwise.
  virtual Async<void> flush() = 0;
  /// Queues at once without waiting; false when the peer has gone. The caller watches `buffered_bytes()`.
  virtual bool try_write(std::string_view data) = 0;
  virtual bool try_write(const SharedBytes& data) = 0;
  [[nodiscard]] virtual std::size_t buffered_bytes() const = 0;
  /// Waits until the buffered output is at or below the low water mark.
  virtual Async<void> writable() = 0;
  /// Cancelled when the peer has gone or the server drains.
  [[nodiscard]] virtual runtime::CancelToken closed() const = 0;
};

/// Runs once the head is on its way; when it returns, the answer is complete. When it fails, the connection is
/// reset so that the peer sees that the answer is cut short.
using BodyProducer = std::move_only_function<Async<void>(BodyWriter&)>;

/// An answer. Content-Length, Date, Connection and compression are the server's business.
struct HttpResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  SharedBytes shared_body;  ///< instead of `body`: sent without a copy
  BodyProducer producer;    ///< instead of both: streamed
  /// Text bodies above 1 KiB are compressed as the request's Accept-Encoding allows. A streamed body only when true is
  /// set with `compress_stream`, since compression holds bytes back until `flush`.
  bool compress = true;
  bool compress_stream = false;

  HttpResponse& header(std::string name, std::string value) &;
  HttpResponse&& header(std::string name, std::string value) &&;
  [[nodiscard]] std::string_view find_header(std::string_view name) const;

  static HttpResponse json(int status, std::string body);
  static HttpResponse text(int status, std::string body);
  static HttpResponse html(int status, std::string body);
  static HttpResponse empty(int status);  ///< 204, 304, …
  /// `{"error":{"code":…,"message":…,"field":…}}` with the status of the code; `field` left out when empty.
  static HttpResponse error(const Error& error);
  static HttpResponse error(int status, std::string_view code, std::string_view message, std::string_view field = {});
  static HttpResponse stream(int status, std::string content_type, BodyProducer producer);
};

int status_of(ErrorCode code);
std::string_view reason_phrase(int status);
/// The JSON body of an error, as above.
std::string error_json(std::string_view code, std::string_view message, std::string_view field = {});

/// A strong ETag of `content` (`"` + hash + `"`).
std::string make_etag(std::string_view content);
/// The request's If-None-Match names `etag` (by weak comparison), or is `*`.
bool if_none_match(const HttpRequest& request, std::string_view etag);
/// Adds the ETag; turns a 200 answer to GET or HEAD into 304 without a body where the peer has it already.
HttpResponse with_etag(const HttpRequest& request, HttpResponse response, const std::string& etag);

struct Cookie {
  std::string name;
  std::string value;
  std::string path = "/";
  std::optional<Duration> max_age;  ///< none: until the browser ends; 0 deletes
  bool http_only = true;
  bool secure = false;
  enum class SameSite : std::uint8_t { strict, lax, none } same_site = SameSite::strict;

  [[nodiscard]] std::string header_value() const;  ///< for `Set-Cookie`
};

/// One server-sent event. `data` may have several lines.
std::string sse_event(std::string_view event, std::string_view data, std::string_view id = {});

/// Content codings that we know. `identity` is no coding.
enum class Coding : std::uint8_t { identity, gzip, brotli };
/// The best coding that `accept_encoding` allows among those on offer (q-values, `*`, `identity;q=0`); brotli before
/// gzip when equal. Identity also when it is refused and nothing else fits (RFC 9110, 12.5.3 leaves that to us).
Coding negotiate(std::string_view accept_encoding, bool offer_gzip, bool offer_brotli);
std::string gzip(std::string_view content, int level = 1);
std::string brotli(std::string_view content, int quality = 5);

/// A file in up to three codings, made once (at build or start) and served without copies.
struct StaticAsset {
  std::string content_type;
  std::string cache_control;  ///< e.g. `public, max-age=31536000, immutable`
  std::string etag;
  SharedBytes identity;
  SharedBytes gzip;    ///< may be null
  SharedBytes brotli;  ///< may be null

  /// Compresses what gains from it (text-like, above 1 KiB).
  static StaticAsset make(std::string content_type, std::string cache_control, std::string content);
  /// The variant that the request accepts, with ETag, Vary and 304.
  [[nodiscard]] HttpResponse respond(const HttpRequest& request) const;
};

}  // namespace flux::net
