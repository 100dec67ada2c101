#include "auth/access_token.h"

extern "C" {
#include <cjose/cjose.h>
}
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "auth/secrets.h"
#include "core/whole_file.h"

namespace flux::auth {
namespace {

using nlohmann::json;

constexpr std::string_view kIssuer = "fluxgate";
constexpr std::string_view kAlgorithm = "ES256";

using Jws = std::unique_ptr<cjose_jws_t, decltype(&cjose_jws_release)>;
using Header = std::unique_ptr<cjose_header_t, decltype(&cjose_header_release)>;

cjose_jwk_t* key_of(const std::shared_ptr<void>& key) { return static_cast<cjose_jwk_t*>(key.get()); }

std::unexpected<Error> refused(std::string why) { return fail(ErrorCode::unauthenticated, std::move(why)); }

std::string json_of(cjose_jwk_t* key, bool with_private) {
  cjose_err error{};
  char* text = cjose_jwk_to_json(key, with_private, &error);
  std::string out = text == nullptr ? "" : text;
  std::free(text);
  return out;
}

}  // namespace

Result<AccessTokens> AccessTokens::open(const std::filesystem::path& key_file) {
  cjose_err error{};
  cjose_jwk_t* key = nullptr;
  if (std::filesystem::exists(key_file)) {
    std::ifstream file(key_file);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) return fail(ErrorCode::io, "cannot read " + key_file.string());
    const std::string content = text.str();
    key = cjose_jwk_import(content.data(), content.size(), &error);
    if (key == nullptr || cjose_jwk_get_kty(key, &error) != CJOSE_JWK_KTY_EC ||
        cjose_jwk_EC_get_curve(key, &error) != CJOSE_JWK_EC_P_256) {
      cjose_jwk_release(key);
      return fail(ErrorCode::corrupt, key_file.string() + " does not hold a P-256 key as JWK");
    }
  } else {
    key = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &error);
    if (key == nullptr) return fail(ErrorCode::internal, "cannot make a key for access tokens");
    const std::string id = random_token(9);
    cjose_jwk_set_kid(key, id.data(), id.size(), &error);
    if (auto written = write_file(key_file, json_of(key, true), 0600); !written) {
      cjose_jwk_release(key);
      return std::unexpected(std::move(written).error());
    }
  }
  AccessTokens tokens;
  tokens.key_ = std::shared_ptr<void>(key, [](void* held) { cjose_jwk_release(static_cast<cjose_jwk_t*>(held)); });
  const char* id = cjose_jwk_get_kid(key, &error);
  tokens.key_id_ = id == nullptr ? "" : id;
  json one = json::parse(json_of(key, false));
  one["use"] = "sig";
  one["alg"] = kAlgorithm;
  tokens.jwks_ = json{{"keys", json::array({one})}}.dump();
  return tokens;
}

Result<std::string> AccessTokens::issue(const Claims& claims) const {
  const std::string payload = json{
      {"iss", kIssuer},
      {"sub", std::to_string(claims.user)},
      {"tenant", claims.tenant.value},
      {"role", to_string(claims.role)},
      {"gen", claims.generation},
      {"sid", claims.log_in},
      {"iat", claims.issued_at.ns / 1'000'000'000},
      {"exp", claims.expires_at.ns / 1'000'000'000},
      {"jti", random_token(12)}}.dump();
  cjose_err error{};
  const Header header(cjose_header_new(&error), &cjose_header_release);
  if (!header || !cjose_header_set(header.get(), CJOSE_HDR_ALG, std::string(kAlgorithm).c_str(), &error) ||
      !cjose_header_set(header.get(), CJOSE_HDR_KID, key_id_.c_str(), &error) ||
      !cjose_header_set(header.get(), "typ", "JWT", &error))
    return fail(ErrorCode::internal, "cannot sign an access token");
  const Jws jws(cjose_jws_sign(key_of(key_), header.get(), reinterpret_cast<const std::uint8_t*>(payload.data()),
                               payload.size(), &error),
                &cjose_jws_release);
  const char* text = nullptr;
  if (!jws || !cjose_jws_export(jws.get(), &text, &error))
    return fail(ErrorCode::internal, std::string("cannot sign an access token: ") + error.message);
  return std::string(text);
}

Result<Claims> AccessTokens::verify(std::string_view token, Time now, Duration leeway) const {
  cjose_err error{};
  if (token.size() > 4096) return refused("the access token is too long");
  const Jws jws(cjose_jws_import(token.data(), token.size(), &error), &cjose_jws_release);
  if (!jws) return refused("the access token is malformed");
  cjose_header_t* header = cjose_jws_get_protected(jws.get());
  const char* algorithm = header == nullptr ? nullptr : cjose_header_get(header, CJOSE_HDR_ALG, &error);
  // Judged before the signature: which algorithm is right is ours to say and not the token's.
  if (algorithm == nullptr || algorithm != kAlgorithm) return refused("the access token is not signed with ES256");
  const char* key_id = cjose_header_get(header, CJOSE_HDR_KID, &error);
  if (key_id == nullptr || key_id != key_id_) return refused("the access token is signed with another key");
  if (!cjose_jws_verify(jws.get(), key_of(key_), &error)) return refused("the access token's signature is wrong");
  std::uint8_t* payload = nullptr;
  std::size_t size = 0;
  if (!cjose_jws_get_plaintext(jws.get(), &payload, &size, &error)) return refused("the access token is empty");
  const json said = json::parse(payload, payload + size, nullptr, false);
  if (!said.is_object()) return refused("the access token's claims are not JSON");
  try {
    Claims claims;
    if (said.at("iss").get<std::string>() != kIssuer) return refused("the access token is of another issuer");
    claims.user = std::strtoll(said.at("sub").get_ref<const std::string&>().c_str(), nullptr, 10);
    claims.tenant = {said.at("tenant").get<std::uint32_t>()};
    const auto role = role_from(said.at("role").get<std::string>());
    if (!role) return refused("the access token names a role that is not known");
    claims.role = *role;
    claims.generation = said.at("gen").get<std::uint64_t>();
    claims.log_in = said.at("sid").get<std::string>();
    claims.issued_at = {said.at("iat").get<std::int64_t>() * 1'000'000'000};
    claims.expires_at = {said.at("exp").get<std::int64_t>() * 1'000'000'000};
    if (now >= claims.expires_at + leeway) return refused("the access token has expired");
    if (claims.issued_at > now + leeway) return refused("the access token is from the future: check the clocks");
    return claims;
  } catch (const json::exception&) {
    return refused("the access token lacks a claim");
  }
}

}  // namespace flux::auth
