#include "net/http.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "net/content_coding.h"
#include "net/http_connection.h"

namespace flux::net {
namespace {

/// A request as the server would hand it over, made of its head.
struct Parsed {
  explicit Parsed(std::string head_text) {
    HttpRequestAccess::head_text(request) = std::move(head_text);
    RequestHead head;
    const auto fault =
        parser.parse_head(HttpRequestAccess::head_text(request), head, HttpRequestAccess::fields(request));
    EXPECT_FALSE(fault) << fault->message;
    EXPECT_TRUE(HttpRequestAccess::set_target(request, method_from(head.method).value(), head));
  }
  RequestParser parser;
  HttpRequest request;
};

TEST(HttpRequestTest, GivesHeadersQueryAndCookies) {
  const Parsed parsed(
      "GET /a%20b/c?x=1&y=two+words&x=%26&flag&broken=%zz HTTP/1.1\r\nHost: h\r\nCOOKIE: a=1; session=\"abc\"\r\n"
      "Cookie: b=2\r\nContent-Type: Application/JSON; charset=utf-8\r\nAuthorization: Bearer  tok\r\nEmpty:\r\n\r\n");
  const auto& request = parsed.request;
  EXPECT_EQ(request.path(), "/a b/c");
  EXPECT_EQ(request.raw_path(), "/a%20b/c");
  EXPECT_EQ(request.query("x"), "1");
  EXPECT_EQ(request.query("y"), "two words");
  EXPECT_EQ(request.query("flag"), "");
  EXPECT_EQ(request.query("broken"), "%zz");
  EXPECT_EQ(request.query("z"), std::nullopt);
  EXPECT_EQ(request.query_all("x"), (std::vector<std::string>{"1", "&"}));
  EXPECT_EQ(request.query_params().size(), 5U);
  EXPECT_EQ(request.header("cookie"), "a=1; session=\"abc\"");
  EXPECT_EQ(request.cookie("session"), "abc");
  EXPECT_EQ(request.cookie("b"), "2");
  EXPECT_EQ(request.cookie("c"), "");
  EXPECT_EQ(request.content_type(), "application/json");
  EXPECT_EQ(request.authorization(), std::pair(std::string_view("Bearer"), std::string_view("tok")));
  EXPECT_TRUE(request.has_header("empty"));
  EXPECT_EQ(request.header("empty"), "");
  EXPECT_FALSE(request.has_header("absent"));
}

TEST(HttpRequestTest, ETagsAreCompared) {
  const auto etag = make_etag("content");
  EXPECT_EQ(etag, make_etag("content"));
  EXPECT_NE(etag, make_etag("other"));
  const Parsed same("GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"x\", W/" + etag + "\r\n\r\n");
  EXPECT_TRUE(if_none_match(same.request, etag));
  EXPECT_EQ(with_etag(same.request, HttpResponse::text(200, "content"), etag).status, 304);
  EXPECT_EQ(with_etag(same.request, HttpResponse::text(200, "content"), etag).body, "");
  EXPECT_EQ(with_etag(same.request, HttpResponse::text(200, "new"), "\"new\"").body, "new");
  const Parsed any("GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n");
  EXPECT_TRUE(if_none_match(any.request, etag));
}

TEST(HttpRequestTest, StaticAssetsComeInTheBestVariant) {
  const auto asset = StaticAsset::make("text/html", "no-cache", std::string(5000, 'h'));
  ASSERT_TRUE(asset.gzip && asset.brotli);
  const auto respond = [&](const std::string& headers) {
    const Parsed parsed("GET / HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n");
    return asset.respond(parsed.request);
  };
  EXPECT_EQ(respond("").shared_body, asset.identity);
  EXPECT_EQ(respond("Accept-Encoding: gzip, deflate, br, zstd\r\n").shared_body, asset.brotli);
  const auto zipped = respond("Accept-Encoding: gzip\r\n");
  EXPECT_EQ(zipped.shared_body, asset.gzip);
  EXPECT_EQ(zipped.find_header("content-encoding"), "gzip");
  const std::string tag(zipped.find_header("ETag"));
  EXPECT_NE(tag, asset.etag);
  EXPECT_EQ(respond("Accept-Encoding: gzip\r\nIf-None-Match: " + tag + "\r\n").status, 304);
  EXPECT_EQ(respond("If-None-Match: " + tag + "\r\n").status, 200);
  EXPECT_FALSE(StaticAsset::make("image/png", "", std::string(5000, 'p')).gzip);
}

TEST(HttpTextTest, ErrorsAreJsonWhateverTheyHold) {
  EXPECT_EQ(error_json("too_large", "a \"quoted\"\n\\line\x01", "f[0]"),
            R"({"error":{"code":"too_large","message":"a \"quoted\"\n\\line\u0001","field":"f[0]"}})");
  // A path may hold any bytes, and the answer is JSON all the same; nor does it steer the terminal of who reads it.
  EXPECT_EQ(error_json("not_found", "there is nothing at /\xff\xc2\x9b"),
            "{\"error\":{\"code\":\"not_found\",\"message\":\"there is nothing at /\xef\xbf\xbd\\u009b\"}}");
  const auto response = HttpResponse::error(Error{ErrorCode::exhausted, "later", {}});
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.body, R"({"error":{"code":"exhausted","message":"later"}})");
}

TEST(HttpTextTest, CookiesAndEventsAreSpelledRight) {
  Cookie cookie{.name = "s", .value = "v", .max_age = 90_s, .secure = true};
  EXPECT_EQ(cookie.header_value(), "s=v; Path=/; Max-Age=90; HttpOnly; Secure; SameSite=Strict");
  EXPECT_EQ(sse_event("", "x"), "data: x\n\n");
  EXPECT_EQ(sse_event("e", "a\nb", "1"), "event: e\nid: 1\ndata: a\ndata: b\n\n");
}

TEST(HttpTextTest, NegotiationFollowsTheWeights) {
  EXPECT_EQ(negotiate("", true, true), Coding::identity);
  EXPECT_EQ(negotiate("gzip, br", true, true), Coding::brotli);
  EXPECT_EQ(negotiate("gzip, br;q=0.5", true, true), Coding::gzip);
  EXPECT_EQ(negotiate("br", true, false), Coding::identity);
  EXPECT_EQ(negotiate("*", true, false), Coding::gzip);
  EXPECT_EQ(negotiate("gzip;q=0, *", true, true), Coding::brotli);
  EXPECT_EQ(negotiate("identity, gzip;q=0.1", true, true), Coding::identity);
  EXPECT_EQ(negotiate("GZIP ; q=0.3", true, true), Coding::gzip);
  EXPECT_EQ(negotiate("gzip;q=abc", true, true), Coding::identity);
}

RC_GTEST_PROP(HttpTextTest, PercentCodingRoundTrips, (const std::string& text)) {
  RC_ASSERT(percent_decode(percent_encode(text)) == text);
}

RC_GTEST_PROP(HttpTextTest, GzipRoundTripsWholeAndInPieces, (const std::vector<std::string>& pieces)) {
  std::string whole;
  std::string packed;
  GzipStream stream;
  for (const auto& piece : pieces) {
    whole += piece;
    packed += stream.add(piece, piece.size() % 2 == 0 ? GzipStream::Until::more : GzipStream::Until::flush);
  }
  packed += stream.add({}, GzipStream::Until::end);
  const auto unpack = [](std::string_view content) {
    std::string out;
    const auto append = [](void* to, std::string_view piece) {
      static_cast<std::string*>(to)->append(piece);
      return true;
    };
    RC_ASSERT(decompress(BodyCoding::gzip, content, append, &out).has_value());
    return out;
  };
  RC_ASSERT(unpack(packed) == whole);
  RC_ASSERT(unpack(gzip(whole)) == whole);
  std::string inflated;
  RC_ASSERT(inflate_message(deflate_message(whole), whole.size(), inflated).has_value());
  RC_ASSERT(inflated == whole);
}

TEST(HttpTextTest, AnInflatedMessageIsHeldToItsLimit) {
  std::string out;
  const auto packed = deflate_message(std::string(1'000'000, 'x'));
  EXPECT_EQ(inflate_message(packed, 999'999, out).error().code, ErrorCode::too_large);
  EXPECT_TRUE(inflate_message(packed, 1'000'000, out));
  EXPECT_EQ(inflate_message("\xff\xff\xff", 1000, out).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace flux::net
