#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/epoch.h"
#include "core/value.h"

/// Answers are written straight as text: a million points pass through here.
namespace flux::gateway {

void append_integer(std::string& out, std::int64_t value);
void append_integer(std::string& out, std::uint64_t value);
/// `null` for NaN and infinities, which JSON cannot spell.
void append_cell(std::string& out, Cell cell, ValueType type, std::string_view heap);
void append_value(std::string& out, const Value& value);

}  // namespace flux::gateway
