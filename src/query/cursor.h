#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/result.h"

namespace flux::query {

/// Where an answer ended: after the row at `time` of the series (or group) `series`.
struct Cursor {
  std::uint64_t query = 0;  ///< hash of the query it belongs to, so that it is not used with another one
  Fingerprint series;
  std::int64_t time = 0;
};

/// 54 characters of base64url, opaque to callers: 40 bytes, little endian: query, series high, series low, time,
/// hash of the former.
std::string encode(const Cursor& cursor);
/// `invalid_argument` with field `cursor` when it was not made by `encode`.
Result<Cursor> decode_cursor(std::string_view text);

}  // namespace flux::query
