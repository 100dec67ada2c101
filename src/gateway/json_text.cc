#include "gateway/json_text.h"

#include "observe/json.h"

namespace flux::gateway {
namespace {

template <class Integer>
void append_digits(std::string& out, Integer value) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, end);
}

}  // namespace

void append_integer(std::string& out, std::int64_t value) { append_digits(out, value); }
void append_integer(std::string& out, std::uint64_t value) { append_digits(out, value); }

void append_cell(std::string& out, Cell cell, ValueType type, std::string_view heap) {
  switch (type) {
    case ValueType::float64: return observe::append_json_number(out, as_float64(cell));
    case ValueType::int64: return append_digits(out, as_int64(cell));
    case ValueType::uint64: return append_digits(out, cell);
    case ValueType::boolean: out += cell != 0 ? "true" : "false"; return;
    case ValueType::string: {
      const StringRef ref = as_string_ref(cell);
      return observe::append_json_string(out, heap.substr(ref.offset, ref.length));
    }
  }
}

void append_value(std::string& out, const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return observe::append_json_string(out, *text);
  if (const auto* number = std::get_if<double>(&value)) return observe::append_json_number(out, *number);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return append_digits(out, *number);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return append_digits(out, *number);
  out += std::get<bool>(value) ? "true" : "false";
}

}  // namespace flux::gateway
