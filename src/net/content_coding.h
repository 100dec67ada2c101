#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "net/http.h"

namespace flux::net {

enum class BodyCoding : std::uint8_t { identity, gzip, zstd };
/// Of a request's Content-Encoding; nothing for those we do not take.
std::optional<BodyCoding> body_coding(std::string_view content_encoding);

/// Decompresses `content` piece by piece into `append(context, piece)`, which refuses (false) what is too much.
/// `too_large` then, `invalid_argument` when the content is broken or cut short.
Result<> decompress(BodyCoding coding, std::string_view content, bool (*append)(void* context, std::string_view piece),
                    void* context);

/// Worth compressing: text, JSON, JavaScript, SVG, …
bool is_compressible(std::string_view content_type);

/// gzip of a body whose end is not known yet.
class GzipStream {
 public:
  GzipStream();
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  enum class Until : std::uint8_t { more, flush, end };
  /// What can be sent of all that was added; with `flush`, everything; with `end`, the trailer too.
  std::string add(std::string_view data, Until until);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Raw deflate of one WebSocket message (RFC 7692, without the trailing 00 00 ff ff), and back.
std::string deflate_message(std::string_view payload);
/// `too_large` beyond `limit`, `invalid_argument` when broken.
Result<> inflate_message(std::string_view payload, std::size_t limit, std::string& into);

}  // namespace flux::net
