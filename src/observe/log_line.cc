#include <array>
#include <cstdio>

#include "observe/json.h"
#include "observe/log.h"

namespace flux::log {

namespace {

constexpr std::string_view kReset = "\x1b[0m";
constexpr std::string_view kDim = "\x1b[2m";

/// RFC 3339 with exactly `digits` of the second's fraction, so that columns line up.
void append_time(std::string& out, Time time, int digits) {
  const std::int64_t nanos = ((time.ns % 1'000'000'000) + 1'000'000'000) % 1'000'000'000;
  std::array<char, 40> text;
  const std::size_t length = format_rfc3339({time.ns - nanos}, text.data());
  out.append(text.data(), length - 1);  // without the Z
  std::array<char, 16> fraction;
  std::snprintf(fraction.data(), fraction.size(), ".%09d", static_cast<int>(nanos));
  out.append(fraction.data(), static_cast<std::size_t>(digits) + 1);
  out += 'Z';
}

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7F || c == '"' || c == '=') return true;
  }
  return false;
}

void append_value(std::string& out, const Value& value, bool json) {
  std::visit(
      [&](const auto& held) {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::same_as<T, bool>) out += held ? "true" : "false";
        else if constexpr (std::same_as<T, double>) observe::append_json_number(out, held);
        else if constexpr (std::integral<T>) out += std::to_string(held);
        else if (json || needs_quotes(held)) observe::append_json_string(out, held);
        else out += held;
      },
      value.held());
}

void append_json(std::string& out, Time time, Level level, std::string_view sentence, FieldList fields,
                 std::uint64_t suppressed) {
  out += R"({"time":")";
  append_time(out, time, 6);
  out += R"(","level":")";
  out += to_string(level);
  out += R"(","message":)";
  observe::append_json_string(out, sentence);
  const auto append_field = [&](std::string_view key, const Value& value) {
    out += ',';
    observe::append_json_string(out, key);
    out += ':';
    append_value(out, value, true);
  };
  for (const Field& field : fields) append_field(field.key, field.value);
  if (suppressed > 0) append_field("suppressed", suppressed);
  out += '}';
}

void append_console(std::string& out, bool colour, Time time, Level level, std::string_view sentence, FieldList fields,
                    std::uint64_t suppressed) {
  constexpr std::array<std::string_view, 4> kColours{"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
  constexpr std::array<std::string_view, 4> kWords{"debug", "info ", "warn ", "error"};
  const auto rank = static_cast<std::size_t>(level) % kWords.size();
  if (colour) out += kDim;
  append_time(out, time, 3);
  if (colour) out += kReset;
  out += ' ';
  if (colour) out += kColours[rank];
  out += kWords[rank];
  if (colour) out += kReset;
  out += ' ';
  out += sentence;
  const auto append_field = [&](std::string_view key, const Value& value) {
    out += ' ';
    if (colour) out += kDim;
    out += key;
    out += '=';
    if (colour) out += kReset;
    append_value(out, value, false);
  };
  for (const Field& field : fields) append_field(field.key, field.value);
  if (suppressed > 0) append_field("suppressed", suppressed);
}

}  // namespace

std::string_view to_string(Level level) {
  constexpr std::array<std::string_view, 5> kNames{"debug", "info", "warn", "error", "off"};
  return kNames[static_cast<std::size_t>(level) % kNames.size()];
}

std::string format_line(Format format, bool colour, Time time, Level level, std::string_view sentence, FieldList fields,
                        std::uint64_t suppressed) {
  std::string line;
  if (format == Format::json) append_json(line, time, level, sentence, fields, suppressed);
  else append_console(line, colour, time, level, sentence, fields, suppressed);
  return line;
}

}  // namespace flux::log
