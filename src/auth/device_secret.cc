#include "auth/device_secret.h"

#include <sodium.h>

#include <span>

#include "auth/secrets.h"
#include "core/hash.h"

namespace flux::auth {

namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kPrefix = 4;
constexpr std::size_t kRandom = 30;
constexpr std::size_t kCheck = 6;

std::string_view prefix_of(SecretKind kind) { return kind == SecretKind::device_token ? "fgd_" : "fgk_"; }

/// Of prefix and random part: so a prefix cannot be exchanged either.
std::array<char, kCheck> check_digits(std::string_view body) {
  std::uint32_t crc = crc32c(std::as_bytes(std::span(body)));
  std::array<char, kCheck> digits{};
  for (std::size_t i = digits.size(); i-- > 0;) {
    digits[i] = kDigits[crc % kDigits.size()];
    crc /= static_cast<std::uint32_t>(kDigits.size());
  }
  return digits;
}

}  // namespace

std::string make_secret(SecretKind kind) {
  ensure_randomness();
  std::string secret(prefix_of(kind));
  for (std::size_t i = 0; i < kRandom; ++i) secret += kDigits[::randombytes_uniform(kDigits.size())];
  const auto check = check_digits(secret);
  secret.append(check.data(), check.size());
  return secret;
}

bool holds_secret(std::string_view text) {
  return text.find(prefix_of(SecretKind::device_token)) != std::string_view::npos ||
         text.find(prefix_of(SecretKind::ingest_key)) != std::string_view::npos;
}

SecretCheck check_secret(SecretKind kind, std::string_view text) {
  if (!text.starts_with(prefix_of(kind))) return SecretCheck::other;
  if (text.size() != kPrefix + kRandom + kCheck) return SecretCheck::damaged;
  const auto check = check_digits(text.substr(0, kPrefix + kRandom));
  return text.substr(kPrefix + kRandom) == std::string_view(check.data(), check.size()) ? SecretCheck::good
                                                                                        : SecretCheck::damaged;
}

SecretHash hash_secret(std::string_view secret) {
  SecretHash hash;
  ::crypto_generichash(reinterpret_cast<unsigned char*>(hash.bytes.data()), hash.bytes.size(),
                       reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), nullptr, 0);
  return hash;
}

std::string random_id() {
  ensure_randomness();
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
  std::string id;
  for (int i = 0; i < 16; ++i) id += kLetters[::randombytes_uniform(kLetters.size())];
  return id;
}

}  // namespace flux::auth
