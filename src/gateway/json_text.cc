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

/// Rounds towards the past, so that a time never moves into a later unit.
std::int64_t in_unit(Time time, std::int64_t unit) { return time.ns / unit - (time.ns % unit < 0 ? 1 : 0); }

}  // namespace

Result<Epoch> parse_epoch(std::string_view text) {
  if (text == "s") return Epoch::s;
  if (text == "ms") return Epoch::ms;
  if (text == "us") return Epoch::us;
  if (text == "ns") return Epoch::ns;
  if (text == "rfc3339") return Epoch::rfc3339;
  return fail(ErrorCode::invalid_argument, "expected s, ms, us, ns or rfc3339", "epoch");
}

void append_time(std::string& out, Time time, Epoch epoch) {
  switch (epoch) {
    case Epoch::rfc3339: {
      char text[40];
      out += '"';
      out.append(text, format_rfc3339(time, text));
      out += '"';
      return;
    }
    case Epoch::s: return append_digits(out, in_unit(time, 1'000'000'000));
    case Epoch::ms: return append_digits(out, in_unit(time, 1'000'000));
    case Epoch::us: return append_digits(out, in_unit(time, 1'000));
    case Epoch::ns: return append_digits(out, time.ns);
  }
}

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
