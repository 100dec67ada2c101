#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace flux {

/// The type of a field. The numbers are on disk and on the wire: they never change.
enum class ValueType : std::uint8_t { float64 = 1, int64 = 2, uint64 = 3, boolean = 4, string = 5 };

/// `double`, `int64`, `uint64`, `bool`, `string`: the words of the API.
constexpr std::string_view to_string(ValueType type) {
  switch (type) {
    case ValueType::float64: return "double";
    case ValueType::int64: return "int64";
    case ValueType::uint64: return "uint64";
    case ValueType::boolean: return "bool";
    case ValueType::string: return "string";
  }
  return "?";
}

/// Where a string value lies in its batch's string heap.
struct StringRef {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

/// One value in 64 bits, as columns hold it: the bits of a double, an integer, 0 or 1, or a `StringRef`.
using Cell = std::uint64_t;

constexpr Cell to_cell(double value) { return std::bit_cast<Cell>(value); }
constexpr Cell to_cell(std::int64_t value) { return std::bit_cast<Cell>(value); }
constexpr Cell to_cell(std::uint64_t value) { return value; }
constexpr Cell to_cell(bool value) { return value ? 1 : 0; }
constexpr Cell to_cell(StringRef ref) { return std::bit_cast<Cell>(ref); }

constexpr double as_float64(Cell cell) { return std::bit_cast<double>(cell); }
constexpr std::int64_t as_int64(Cell cell) { return std::bit_cast<std::int64_t>(cell); }
constexpr StringRef as_string_ref(Cell cell) { return std::bit_cast<StringRef>(cell); }

/// A value for the edges (API answers, events, the latest value), where one at a time is handled.
using Value = std::variant<double, std::int64_t, std::uint64_t, bool, std::string>;

constexpr ValueType type_of(const Value& value) { return static_cast<ValueType>(value.index() + 1); }

}  // namespace flux
