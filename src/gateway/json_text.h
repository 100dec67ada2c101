#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/time.h"
#include "core/value.h"

/// Answers are written straight as text: a million points pass through here.
namespace flux::gateway {

/// How times are spelled: RFC 3339, or integers of a unit since 1970.
enum class Epoch : std::uint8_t { rfc3339, s, ms, us, ns };

/// The `epoch` parameter: `s`, `ms`, `us`, `ns`, `rfc3339`.
Result<Epoch> parse_epoch(std::string_view text);

void append_time(std::string& out, Time time, Epoch epoch);
void append_integer(std::string& out, std::int64_t value);
void append_integer(std::string& out, std::uint64_t value);
/// `null` for NaN and infinities, which JSON cannot spell.
void append_cell(std::string& out, Cell cell, ValueType type, std::string_view heap);
void append_value(std::string& out, const Value& value);

}  // namespace flux::gateway
