#include "config/fields.h"

#include <array>
#include <charconv>
#include <cmath>

namespace flux::config {

namespace {

template <class Number>
Result<> parse_number(std::string_view text, Number& out, std::string_view expected) {
  Number parsed{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc{} || rest != text.data() + text.size()) {
    return fail(ErrorCode::invalid_argument, "expected " + std::string(expected));
  }
  out = parsed;
  return {};
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<> parse_setting(std::string_view text, bool& out) {
  if (text != "true" && text != "false") return fail(ErrorCode::invalid_argument, "expected true or false");
  out = text == "true";
  return {};
}

Result<> parse_setting(std::string_view text, std::int64_t& out) { return parse_number(text, out, "an integer"); }

Result<> parse_setting(std::string_view text, std::uint64_t& out) {
  return parse_number(text, out, "an integer of 0 or more");
}

Result<> parse_setting(std::string_view text, double& out) {
  double parsed = 0;
  DO(parse_number(text, parsed, "a number, such as 0.5"));
  if (!std::isfinite(parsed)) return fail(ErrorCode::invalid_argument, "expected a finite number");
  out = parsed;
  return {};
}

Result<> parse_setting(std::string_view text, std::string& out) {
  out = text;
  return {};
}

Result<> parse_setting(std::string_view text, std::filesystem::path& out) {
  out = text;
  return {};
}

Result<> parse_setting(std::string_view text, Bytes& out) {
  TRY(out, parse_bytes(text));
  return {};
}

Result<> parse_setting(std::string_view text, Duration& out) {
  const auto parsed = parse_duration(text);
  if (!parsed) return fail(ErrorCode::invalid_argument, "expected a duration, such as 250ms, 90s or 1h");
  out = *parsed;
  return {};
}

Result<> parse_setting(std::string_view text, std::vector<std::string>& out) {
  std::vector<std::string> items;
  while (!trim(text).empty()) {
    const auto comma = text.find(',');
    const std::string_view item = trim(text.substr(0, comma));
    if (item.empty()) return fail(ErrorCode::invalid_argument, "expected items between single commas");
    items.emplace_back(item);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  out = std::move(items);
  return {};
}

std::string print_setting(bool value) { return value ? "true" : "false"; }
std::string print_setting(std::int64_t value) { return std::to_string(value); }
std::string print_setting(std::uint64_t value) { return std::to_string(value); }

std::string print_setting(double value) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  CHECK(error == std::errc{});
  return {text.data(), end};
}

std::string print_setting(const std::string& value) { return value; }
std::string print_setting(const std::filesystem::path& value) { return value.string(); }
std::string print_setting(Bytes value) { return to_string(value); }
std::string print_setting(Duration value) { return to_string(value); }

std::string Field::text() const {
  if (!list) return print();
  std::string joined;
  for (const std::string& item : items()) joined += (joined.empty() ? "" : ",") + item;
  return joined;
}

Field Fields::begin(std::string_view name, std::string_view doc) const {
  Field field;
  field.key = prefix_ + "." + std::string(name);
  field.doc = doc;
  return field;
}

void Fields::secret(std::string_view name, std::string& value, std::string_view doc) {
  Field field = begin(name, doc);
  bind(field, value, Limits<std::string>{});
  field.secret = true;
  out_.push_back(std::move(field));
}

std::string Fields::describe_choices(const std::vector<std::string>& names) {
  std::string text = "one of ";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += ", ";
    text += names[i];
  }
  return text;
}

std::string Fields::describe_limits(const std::string& min, const std::string& max) {
  if (!min.empty() && !max.empty()) return "from " + min + " to " + max;
  if (!min.empty()) return "of at least " + min;
  if (!max.empty()) return "of at most " + max;
  return {};
}

}  // namespace flux::config
