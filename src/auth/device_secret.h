#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace flux::auth {

/// What devices show: `fgd_` is a device's token, `fgk_` a tenant's ingest key, so that people and secret scanners can
/// tell them.
///
/// A secret is its prefix, 30 random letters and digits (178 bits) and 6 more that check them, so that one that was
/// mistyped or cut is told from one that is not known:
///
///     fgd_k3JxQ0vT2mYb8RzN5cWf7aHs1uLe4P 0fVt9q   (without the space)
enum class SecretKind : std::uint8_t { device_token, ingest_key };

std::string make_secret(SecretKind kind);

enum class SecretCheck : std::uint8_t {
  good,     ///< well-formed
  damaged,  ///< of this kind, but mistyped or cut
  other,    ///< not of this kind
};
/// Whether `text` holds what looks like one of ours, whole or in part: for places where no secret may be kept.
bool holds_secret(std::string_view text);
SecretCheck check_secret(SecretKind kind, std::string_view text);

/// What is kept of a secret: BLAKE2b-256. The secret's own randomness makes salt and slowness needless.
struct SecretHash {
  std::array<std::byte, 32> bytes{};
  friend auto operator<=>(const SecretHash&, const SecretHash&) = default;
};
SecretHash hash_secret(std::string_view secret);

struct SecretHashHash {
  using is_avalanching = void;
  std::size_t operator()(const SecretHash& hash) const noexcept {
    std::size_t first = 0;
    std::memcpy(&first, hash.bytes.data(), sizeof(first));
    return first;
  }
};

/// 80 random bits in 16 letters and digits, for ids that are no secret.
std::string random_id();

}  // namespace flux::auth
