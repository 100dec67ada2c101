#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"

namespace flux {

/// How an answer spells times: as RFC 3339, or as integers of a unit since 1970 (what InfluxDB calls `epoch`).
enum class Epoch : std::uint8_t { rfc3339, s, ms, us, ns };
inline constexpr std::size_t kEpochs = 5;

/// The parameter `epoch`: `s`, `ms`, `us`, `ns`, `rfc3339`. `invalid_argument` names them.
Result<Epoch> parse_epoch(std::string_view text);

/// Writes a JSON value: a string or an integer. Rounds towards the past, so that no time moves into a later unit.
void append_time(std::string& out, Time time, Epoch epoch);

}  // namespace flux
