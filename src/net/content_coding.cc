#include "net/content_coding.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <charconv>
#include <cstring>

namespace flux::net {
namespace {

constexpr std::size_t kPiece = 64 * 1024;
constexpr int kGzipWindow = 15 + 16;
constexpr int kRawWindow = -15;

Bytef* bytes_of(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }

/// zlib's states are large (256 KiB to compress): one of each kind for a thread, reset for each use.
struct Deflater {
  Deflater(int level, int window) {
    CHECK(deflateInit2(&stream, level, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~Deflater() { deflateEnd(&stream); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  z_stream stream{};
};

struct Inflater {
  explicit Inflater(int window) { CHECK(inflateInit2(&stream, window) == Z_OK); }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream stream{};
};

/// Runs deflate over `content` with `flush` and appends to `out`.
void run_deflate(z_stream& stream, std::string_view content, int flush, std::string& out) {
  stream.next_in = bytes_of(content);
  stream.avail_in = static_cast<uInt>(content.size());
  std::array<Bytef, kPiece> piece;
  do {
    stream.next_out = piece.data();
    stream.avail_out = piece.size();
    const int status = ::deflate(&stream, flush);
    CHECK(status != Z_STREAM_ERROR);
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size() - stream.avail_out);
  } while (stream.avail_out == 0);
}

Result<> gunzip(std::string_view content, bool (*append)(void*, std::string_view), void* context) {
  thread_local Inflater inflater(kGzipWindow);
  z_stream& stream = inflater.stream;
  inflateReset(&stream);
  stream.next_in = bytes_of(content);
  stream.avail_in = static_cast<uInt>(content.size());
  std::array<Bytef, kPiece> piece;
  for (;;) {
    stream.next_out = piece.data();
    stream.avail_out = piece.size();
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    const std::size_t count = piece.size() - stream.avail_out;
    if (count > 0 && !append(context, {reinterpret_cast<const char*>(piece.data()), count})) {
      return fail(ErrorCode::too_large, "the decompressed body is too large");
    }
    if (status == Z_STREAM_END) {
      if (stream.avail_in == 0) return {};
      inflateReset(&stream);  // members may follow one another
      continue;
    }
    if (status == Z_BUF_ERROR || (status == Z_OK && count == 0 && stream.avail_in == 0)) {
      return fail(ErrorCode::invalid_argument, "the gzip body is cut short");
    }
    if (status != Z_OK) return fail(ErrorCode::invalid_argument, "the gzip body is broken");
  }
}

Result<> unzstd(std::string_view content, bool (*append)(void*, std::string_view), void* context) {
  thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> decoder(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  ZSTD_DCtx_reset(decoder.get(), ZSTD_reset_session_only);
  // A frame may ask for a window of gigabytes before its first byte of content.
  ZSTD_DCtx_setParameter(decoder.get(), ZSTD_d_windowLogMax, 23);
  ZSTD_inBuffer in{content.data(), content.size(), 0};
  std::array<char, kPiece> piece;
  for (;;) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    const std::size_t left = ZSTD_decompressStream(decoder.get(), &out, &in);  // 0 at the end of a frame
    if (ZSTD_isError(left)) return fail(ErrorCode::invalid_argument, "the zstd body is broken");
    if (out.pos > 0 && !append(context, {piece.data(), out.pos})) {
      return fail(ErrorCode::too_large, "the decompressed body is too large");
    }
    if (in.pos < in.size) continue;  // frames may follow one another
    if (left == 0) return {};
    // A full piece: more may be held back than fitted.
    if (out.pos < out.size) return fail(ErrorCode::invalid_argument, "the zstd body is cut short");
  }
}

}  // namespace

std::optional<BodyCoding> body_coding(std::string_view content_encoding) {
  const auto name = trim(content_encoding);
  if (name.empty() || equals_ignoring_case(name, "identity")) return BodyCoding::identity;
  if (equals_ignoring_case(name, "gzip") || equals_ignoring_case(name, "x-gzip")) return BodyCoding::gzip;
  if (equals_ignoring_case(name, "zstd")) return BodyCoding::zstd;
  return std::nullopt;
}

Result<> decompress(BodyCoding coding, std::string_view content, bool (*append)(void*, std::string_view),
                    void* context) {
  if (coding == BodyCoding::gzip) return gunzip(content, append, context);
  if (coding == BodyCoding::zstd) return unzstd(content, append, context);
  return append(context, content) ? Result<>{} : fail(ErrorCode::too_large, "the body is too large");
}

bool is_compressible(std::string_view content_type) {
  const auto type = content_type.substr(0, content_type.find(';'));
  if (type == "text/event-stream") return false;
  return type.starts_with("text/") || type.ends_with("json") || type.ends_with("javascript") ||
         type.ends_with("+xml") || type == "application/xml" || type == "application/wasm" ||
         type == "application/x-ndjson" || type == "application/manifest+json" || type == "image/svg+xml" ||
         type == "font/ttf";
}

Coding negotiate(std::string_view accept_encoding, bool offer_gzip, bool offer_brotli) {
  // Negative: not named.
  double gzip_q = -1;
  double brotli_q = -1;
  double identity_q = -1;
  double any_q = -1;
  while (!accept_encoding.empty()) {
    const auto comma = accept_encoding.find(',');
    const auto item = accept_encoding.substr(0, comma);
    accept_encoding = comma == std::string_view::npos ? std::string_view() : accept_encoding.substr(comma + 1);
    const auto semicolon = item.find(';');
    const auto name = trim(item.substr(0, semicolon));
    double q = 1;
    if (semicolon != std::string_view::npos) {
      const auto parameter = trim(item.substr(semicolon + 1));
      if (parameter.starts_with("q=") || parameter.starts_with("Q=")) {
        const auto number = parameter.substr(2);
        if (std::from_chars(number.data(), number.data() + number.size(), q).ec != std::errc()) q = 0;
      }
    }
    if (equals_ignoring_case(name, "gzip") || equals_ignoring_case(name, "x-gzip")) gzip_q = q;
    if (equals_ignoring_case(name, "br")) brotli_q = q;
    if (equals_ignoring_case(name, "identity")) identity_q = q;
    if (name == "*") any_q = q;
  }
  if (gzip_q < 0) gzip_q = any_q;
  if (brotli_q < 0) brotli_q = any_q;
  const double best = std::max(offer_gzip ? gzip_q : 0, offer_brotli ? brotli_q : 0);
  if (best <= 0 || identity_q > best) return Coding::identity;
  return offer_brotli && brotli_q >= best ? Coding::brotli : Coding::gzip;
}

std::string gzip(std::string_view content, int level) {
  std::string out;
  out.reserve(content.size() / 3 + 64);
  if (level == 1) {
    thread_local Deflater fast(1, kGzipWindow);
    deflateReset(&fast.stream);
    run_deflate(fast.stream, content, Z_FINISH, out);
  } else {
    Deflater deflater(level, kGzipWindow);
    run_deflate(deflater.stream, content, Z_FINISH, out);
  }
  return out;
}

std::string brotli(std::string_view content, int quality) {
  std::string out(BrotliEncoderMaxCompressedSize(content.size()) + 16, '\0');
  std::size_t size = out.size();
  CHECK(BrotliEncoderCompress(quality, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT, content.size(),
                              reinterpret_cast<const std::uint8_t*>(content.data()), &size,
                              reinterpret_cast<std::uint8_t*>(out.data())) == BROTLI_TRUE);
  out.resize(size);
  return out;
}

struct GzipStream::Impl {
  Deflater deflater{1, kGzipWindow};
};

GzipStream::GzipStream() : impl_(std::make_unique<Impl>()) {}
GzipStream::~GzipStream() = default;

std::string GzipStream::add(std::string_view data, Until until) {
  std::string out;
  const int flush = until == Until::more ? Z_NO_FLUSH : until == Until::flush ? Z_SYNC_FLUSH : Z_FINISH;
  run_deflate(impl_->deflater.stream, data, flush, out);
  return out;
}

std::string deflate_message(std::string_view payload) {
  thread_local Deflater deflater(1, kRawWindow);
  deflateReset(&deflater.stream);
  std::string out;
  out.reserve(payload.size() / 3 + 16);
  run_deflate(deflater.stream, payload, Z_SYNC_FLUSH, out);
  CHECK(out.size() >= 4);
  out.resize(out.size() - 4);  // the peer puts 00 00 ff ff back
  return out;
}

Result<> inflate_message(std::string_view payload, std::size_t limit, std::string& into) {
  thread_local Inflater inflater(kRawWindow);
  z_stream& stream = inflater.stream;
  inflateReset(&stream);
  into.clear();
  std::array<Bytef, kPiece> piece;
  constexpr std::string_view kTail("\0\0\xff\xff", 4);
  for (const auto part : {payload, kTail}) {
    stream.next_in = bytes_of(part);
    stream.avail_in = static_cast<uInt>(part.size());
    do {
      stream.next_out = piece.data();
      stream.avail_out = piece.size();
      const int status = ::inflate(&stream, Z_SYNC_FLUSH);
      const std::size_t count = piece.size() - stream.avail_out;
      if (into.size() + count > limit) return fail(ErrorCode::too_large, "the inflated message is too large");
      into.append(reinterpret_cast<const char*>(piece.data()), count);
      if (status == Z_BUF_ERROR) break;  // all input is used and nothing is held back
      if (status == Z_STREAM_END) {
        // A final block ends the message; what follows would belong to nothing.
        if (stream.avail_in > 0 && part.data() == payload.data()) {
          return fail(ErrorCode::invalid_argument, "data after the final block");
        }
        return {};
      }
      if (status != Z_OK) return fail(ErrorCode::invalid_argument, "the message is no deflate stream");
    } while (stream.avail_in > 0 || stream.avail_out == 0);
  }
  return {};
}

// ---------------------------------------------------------------------------------------------------------------------

StaticAsset StaticAsset::make(std::string content_type, std::string cache_control, std::string content) {
  StaticAsset asset;
  asset.etag = make_etag(content);
  if (content.size() > 1024 && is_compressible(content_type)) {
    auto zipped = net::gzip(content, 9);
    auto brotlied = net::brotli(content, 9);
    if (zipped.size() < content.size()) asset.gzip = std::make_shared<const std::string>(std::move(zipped));
    if (brotlied.size() < content.size()) asset.brotli = std::make_shared<const std::string>(std::move(brotlied));
  }
  asset.content_type = std::move(content_type);
  asset.cache_control = std::move(cache_control);
  asset.identity = std::make_shared<const std::string>(std::move(content));
  return asset;
}

HttpResponse StaticAsset::respond(const HttpRequest& request) const {
  const Coding coding = negotiate(request.header("Accept-Encoding"), gzip != nullptr, brotli != nullptr);
  HttpResponse response;
  response.compress = false;
  response.header("Content-Type", content_type);
  if (!cache_control.empty()) response.header("Cache-Control", cache_control);
  std::string tag = etag;
  if (gzip || brotli) response.header("Vary", "Accept-Encoding");
  if (coding == Coding::identity) {
    response.shared_body = identity;
  } else {
    // Each coding is a representation of its own, so each has its own strong tag.
    tag.insert(tag.size() - 1, coding == Coding::gzip ? "-gz" : "-br");
    response.shared_body = coding == Coding::gzip ? gzip : brotli;
    response.header("Content-Encoding", coding == Coding::gzip ? "gzip" : "br");
  }
  return with_etag(request, std::move(response), tag);
}

}  // namespace flux::net
