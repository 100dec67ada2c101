#include "wire/line/values.h"

#include <cmath>
#include <cstdlib>

namespace flux::wire::line {
namespace {

bool is_numeric(char c) { return (c >= '0' && c <= '9') || c == '.'; }

bool failed(std::string& cause, std::string_view text) {
  cause = text;
  return false;
}

std::string out_of_range(std::string_view function, std::string_view text) {
  return "strconv." + std::string(function) + ": parsing \"" + std::string(text) + "\": value out of range";
}

bool read_boolean(std::string_view text, Cell& cell, std::string& cause) {
  for (const std::string_view word : {"t", "T", "true", "True", "TRUE"})
    if (text == word) return cell = to_cell(true), true;
  for (const std::string_view word : {"f", "F", "false", "False", "FALSE"})
    if (text == word) return cell = to_cell(false), true;
  return failed(cause, "invalid boolean");
}

bool read_float(std::string_view text, Cell& cell, std::string& cause) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return failed(cause, "invalid float");
  if (error == std::errc::result_out_of_range) {
    // Too small is zero (or the least there is), too great is an error: from_chars tells the two apart only by words.
    value = std::strtod(std::string(text).c_str(), nullptr);
    if (std::isinf(value)) return failed(cause, "invalid float");
  } else if (error != std::errc()) {
    return failed(cause, "invalid float");
  }
  cell = to_cell(value);
  return true;
}

}  // namespace

bool read_value(std::string_view text, ValueType& type, Cell& cell, std::string& cause) {
  if (text.empty()) return failed(cause, "missing field value");
  const char first = text.front();
  if (!is_numeric(first) && first != '-' && first != 'N' && first != 'n') {
    type = ValueType::boolean;
    return read_boolean(text, cell, cause);
  }
  const char suffix = text.back();
  const bool whole = suffix == 'i' || suffix == 'u';
  std::string_view digits = text;
  if (whole) digits.remove_suffix(1);
  const bool negative = digits.starts_with('-');
  std::size_t numerals = 0;
  std::size_t points = 0;
  for (std::size_t i = negative ? 1 : 0; i < digits.size(); ++i) {
    const char c = digits[i];
    if (c >= '0' && c <= '9') {
      ++numerals;
    } else if (!whole && c == '.' && ++points == 1) {
    } else if (!whole && (c == 'e' || c == 'E') && numerals > 0) {
    } else if (!whole && (c == '+' || c == '-') && i > 0 && (digits[i - 1] == 'e' || digits[i - 1] == 'E')) {
    } else {
      return failed(cause, "invalid number");
    }
  }
  if (numerals == 0) return failed(cause, "invalid number");
  if (!whole) {
    type = ValueType::float64;
    return read_float(text, cell, cause);
  }
  const char* const end = digits.data() + digits.size();
  if (suffix == 'i') {
    type = ValueType::int64;
    std::int64_t value = 0;
    if (const auto read = std::from_chars(digits.data(), end, value); read.ec != std::errc())
      return failed(cause, "unable to parse integer " + std::string(digits) + ": " + out_of_range("ParseInt", digits));
    cell = to_cell(value);
    return true;
  }
  type = ValueType::uint64;
  if (negative) return failed(cause, "invalid number");
  if (const auto read = std::from_chars(digits.data(), end, cell); read.ec != std::errc())
    return failed(cause, "unable to parse unsigned " + std::string(digits) + ": " + out_of_range("ParseUint", digits));
  return true;
}

bool read_time(std::string_view digits, Precision precision, std::int64_t& ns, std::string& cause) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range) return failed(cause, out_of_range("ParseInt", digits));
  if (error != std::errc() || end != digits.data() + digits.size())
    return failed(cause, "strconv.ParseInt: parsing \"" + std::string(digits) + "\": invalid syntax");
  if (__builtin_mul_overflow(value, nanoseconds(precision), &ns) || ns < kOldestTime || ns > kNewestTime)
    return failed(cause, "time outside range " + std::to_string(kOldestTime) + " - " + std::to_string(kNewestTime));
  return true;
}

}  // namespace flux::wire::line
