#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/value.h"

namespace flux::query {

/// One value of a row while expressions are worked out, or none. Text lies elsewhere and must outlive it.
struct Datum {
  enum class Type : std::uint8_t { null, number, integer, unsigned_integer, boolean, text };
  Type type = Type::null;
  union {
    double number;
    std::int64_t integer;
    std::uint64_t unsigned_integer;
    bool boolean;
  };
  std::string_view text;

  Datum() : number(0) {}
  static Datum of(double value) {
    Datum d;
    d.type = Type::number;
    d.number = value;
    return d;
  }
  static Datum of(std::int64_t value) {
    Datum d;
    d.type = Type::integer;
    d.integer = value;
    return d;
  }
  static Datum of(std::uint64_t value) {
    Datum d;
    d.type = Type::unsigned_integer;
    d.unsigned_integer = value;
    return d;
  }
  static Datum of(bool value) {
    Datum d;
    d.type = Type::boolean;
    d.boolean = value;
    return d;
  }
  static Datum of(std::string_view value) {
    Datum d;
    d.type = Type::text;
    d.text = value;
    return d;
  }

  [[nodiscard]] bool is_null() const { return type == Type::null; }
  [[nodiscard]] bool is_true() const { return type == Type::boolean && boolean; }
  /// A number's value as a double; nothing for what is no number.
  [[nodiscard]] std::optional<double> as_number() const {
    switch (type) {
      case Type::number: return number;
      case Type::integer: return static_cast<double>(integer);
      case Type::unsigned_integer: return static_cast<double>(unsigned_integer);
      default: return std::nullopt;
    }
  }
};

/// A double cut to a whole number as Go does it on this kind of machine: what does not fit is the least number.
inline std::int64_t cut_to_int64(double value) {
  if (!(value >= -9223372036854775808.0 && value < 9223372036854775808.0)) return INT64_MIN;
  return static_cast<std::int64_t>(value);
}

}  // namespace flux::query
