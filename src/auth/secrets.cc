#include "auth/secrets.h"

#include <sodium.h>

#include <array>
#include <vector>

namespace flux::auth {

void ensure_randomness() {
  static const bool initialised = sodium_init() >= 0;
  CHECK_MSG(initialised, "libsodium cannot be initialised: no randomness");
}

std::string random_token(std::size_t bytes) {
  ensure_randomness();
  std::vector<unsigned char> raw(bytes);
  randombytes_buf(raw.data(), raw.size());
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string text(sodium_base64_encoded_len(bytes, kVariant), '\0');
  sodium_bin2base64(text.data(), text.size(), raw.data(), raw.size(), kVariant);
  text.resize(text.find('\0'));
  sodium_memzero(raw.data(), raw.size());
  return text;
}

std::string hash_token(std::string_view token) {
  ensure_randomness();
  std::array<unsigned char, 32> hash{};
  crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(token.data()), token.size(),
                     nullptr, 0);
  std::string text(2 * hash.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), hash.data(), hash.size());
  text.pop_back();
  return text;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<std::string> hash_password(std::string_view password, PasswordCost cost) {
  ensure_randomness();
  std::array<char, crypto_pwhash_STRBYTES> hash{};
  if (crypto_pwhash_str(hash.data(), password.data(), password.size(), cost.passes, cost.memory_bytes) != 0)
    return fail(ErrorCode::unavailable, "there is not enough memory to hash a password");
  return std::string(hash.data());
}

bool verify_password(std::string_view hash, std::string_view password) {
  ensure_randomness();
  return crypto_pwhash_str_verify(std::string(hash).c_str(), password.data(), password.size()) == 0;
}

}  // namespace flux::auth
