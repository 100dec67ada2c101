#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace flux::auth {

/// Before anything of libsodium is used. A machine without randomness stops the process.
void ensure_randomness();

/// `bytes` random bytes in base64url without padding: for tokens that are looked up by their hash.
std::string random_token(std::size_t bytes = 32);
/// Under which a token is kept: BLAKE2b-256 in hexadecimal. A stolen database holds no token.
std::string hash_token(std::string_view token);
bool equal_in_constant_time(std::string_view a, std::string_view b);

/// What hashing a password costs (Argon2id, RFC 9106). The hash says it itself, so a change touches new ones only.
struct PasswordCost {
  std::uint64_t memory_bytes = 64ULL << 20;
  std::uint64_t passes = 3;
};
/// `$argon2id$v=19$m=65536,t=3,p=1$…`. Takes the memory and some 100 ms: for a worker.
Result<std::string> hash_password(std::string_view password, PasswordCost cost);
bool verify_password(std::string_view hash, std::string_view password);

}  // namespace flux::auth
