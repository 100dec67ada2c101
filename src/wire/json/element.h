#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>

/// What the readers here ask of simdjson's values.
namespace flux::wire::json {

namespace dom = simdjson::dom;
using Element = dom::element;
using dom::element_type;

/// `an array`, `a number`, …: for messages.
std::string_view kind_of(const Element& value);

inline bool is_number(element_type type) {
  return type == element_type::INT64 || type == element_type::UINT64 || type == element_type::DOUBLE;
}

/// Of an element that is a string.
inline std::string_view text_of(const Element& value) { return value.get_string().value_unsafe(); }

/// The number exactly, where the integer can hold it: `5.0` and `5e0` are 5.
bool exact(const Element& value, std::int64_t& out);
bool exact(const Element& value, std::uint64_t& out);

/// A number as one would write it.
std::string number_text(const Element& value);

}  // namespace flux::wire::json
