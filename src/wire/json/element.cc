#include "wire/json/element.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace flux::wire::json {
namespace {

template <class Integer>
bool exact_as(const Element& value, Integer& out) {
  switch (value.type()) {
    case element_type::INT64: {
      const std::int64_t number = value.get_int64().value_unsafe();
      if (!std::in_range<Integer>(number)) return false;
      out = static_cast<Integer>(number);
      return true;
    }
    case element_type::UINT64: {
      const std::uint64_t number = value.get_uint64().value_unsafe();
      if (!std::in_range<Integer>(number)) return false;
      out = static_cast<Integer>(number);
      return true;
    }
    default: {
      const double number = value.get_double().value_unsafe();
      constexpr double kLow = static_cast<double>(std::numeric_limits<Integer>::min());
      constexpr double kBeyond = std::is_signed_v<Integer> ? 0x1p63 : 0x1p64;
      if (!(number >= kLow && number < kBeyond) || std::trunc(number) != number) return false;
      out = static_cast<Integer>(number);
      return true;
    }
  }
}

}  // namespace

std::string_view kind_of(const Element& value) {
  switch (value.type()) {
    case element_type::ARRAY: return "an array";
    case element_type::OBJECT: return "an object";
    case element_type::STRING: return "a string";
    case element_type::BOOL: return "a boolean";
    case element_type::NULL_VALUE: return "null";
    default: return "a number";
  }
}

bool exact(const Element& value, std::int64_t& out) { return exact_as(value, out); }
bool exact(const Element& value, std::uint64_t& out) { return exact_as(value, out); }

std::string number_text(const Element& value) {
  switch (value.type()) {
    case element_type::INT64: return std::to_string(value.get_int64().value_unsafe());
    case element_type::UINT64: return std::to_string(value.get_uint64().value_unsafe());
    default: {
      char text[32];
      const auto end = std::to_chars(text, text + sizeof text, value.get_double().value_unsafe()).ptr;
      return {text, end};
    }
  }
}

}  // namespace flux::wire::json
