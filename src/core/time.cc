#include "core/time.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace flux {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// The whole seconds that int64 nanoseconds can hold: 1677-09-21T00:12:44Z to 2262-04-11T23:47:16Z.
constexpr std::int64_t kMinSecond = INT64_MIN / kSecond;
constexpr std::int64_t kMaxSecond = INT64_MAX / kSecond - 1;
// As seconds beyond the year 9999, as milliseconds 1979: no time that anybody means in seconds is taken for another.
constexpr std::uint64_t kUnitBoundary = 300'000'000'000;

/// Nanoseconds in the unit that a Unix time of this size (without its sign) is in.
constexpr std::int64_t unit_of(std::uint64_t size) {
  if (size < kUnitBoundary) return kSecond;
  if (size < kUnitBoundary * 1'000) return 1'000'000;
  if (size < kUnitBoundary * 1'000'000) return 1'000;
  return 1;
}

std::unexpected<Error> bad_time(std::string_view text, std::string_view expected) {
  std::string message = "'";
  message.append(text.substr(0, 64)).append("' is not a time: expected ").append(expected);
  return fail(ErrorCode::invalid_argument, std::move(message));
}

std::unexpected<Error> out_of_range(std::string_view text) {
  return bad_time(text, "a time between 1677-09-22 and 2262-04-11");
}

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c || at_end()) return false;
    ++at_;
    return true;
  }
  /// Exactly `digits` decimal digits, or -1.
  int number(int digits) {
    int value = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = peek();
      if (c < '0' || c > '9') return -1;
      value = value * 10 + (c - '0');
      ++at_;
    }
    return value;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

char* put_digits(char* out, std::int64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
  return out + digits;
}

}  // namespace

Time wall_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec * kSecond + now.tv_nsec};
}

Duration monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return {now.tv_sec * kSecond + now.tv_nsec};
}

Result<Time> parse_rfc3339(std::string_view text) {
  constexpr std::string_view kExpected = "RFC 3339, such as 2026-01-01T00:00:00Z";
  Cursor cursor(text);
  const int year = cursor.number(4);
  bool good = year >= 0 && cursor.take('-');
  const int month = good ? cursor.number(2) : -1;
  good = good && month >= 1 && month <= 12 && cursor.take('-');
  const int day = good ? cursor.number(2) : -1;
  good = good && day >= 1 && (cursor.take('T') || cursor.take('t') || cursor.take(' '));
  const int hour = good ? cursor.number(2) : -1;
  good = good && hour >= 0 && hour <= 23 && cursor.take(':');
  const int minute = good ? cursor.number(2) : -1;
  good = good && minute >= 0 && minute <= 59 && cursor.take(':');
  const int second = good ? cursor.number(2) : -1;
  if (!good || second < 0 || second > 60) return bad_time(text, kExpected);

  std::int64_t fraction = 0;
  if (cursor.take('.')) {
    int digits = 0;
    for (; cursor.peek() >= '0' && cursor.peek() <= '9'; ++digits) {
      const int digit = cursor.number(1);
      if (digits < 9) fraction = fraction * 10 + digit;
    }
    if (digits == 0 || digits > 9) return bad_time(text, "one to nine digits after the point");
    for (; digits < 9; ++digits) fraction *= 10;
  }
  std::int64_t offset = 0;
  if (!cursor.take('Z') && !cursor.take('z')) {
    const bool west = cursor.take('-');
    if (!west && !cursor.take('+')) return bad_time(text, "Z or an offset such as +02:00 at its end");
    const int hours = cursor.number(2);
    const bool colon = cursor.take(':');
    const int minutes = colon ? cursor.number(2) : -1;
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
      return bad_time(text, "an offset such as +02:00 at its end");
    offset = (hours * 60LL + minutes) * 60;
    if (west) offset = -offset;
  }
  if (!cursor.at_end()) return bad_time(text, "nothing after the offset");

  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return bad_time(text, "a day that the month has");
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = days * 86400 + hour * 3600LL + minute * 60LL + second - offset;
  if (seconds <= kMinSecond || seconds > kMaxSecond) return out_of_range(text);
  return Time{seconds * kSecond + fraction};
}

Result<Time> time_from_unix(std::int64_t value) {
  const std::uint64_t size = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  const std::int64_t unit = unit_of(size);
  if (unit != 1 && (value <= INT64_MIN / unit || value >= INT64_MAX / unit)) return out_of_range(std::to_string(value));
  return Time{value * unit};
}

Result<Time> time_from_unix(double value) {
  if (!std::isfinite(value) || std::fabs(value) >= 9.2e18) return out_of_range(std::to_string(value));
  const double whole = std::trunc(value);
  if (whole == value) return time_from_unix(static_cast<std::int64_t>(value));
  TRY(const Time base, time_from_unix(static_cast<std::int64_t>(whole)));
  const auto unit = static_cast<double>(unit_of(static_cast<std::uint64_t>(std::fabs(whole))));
  return base + Duration{std::llround((value - whole) * unit)};
}

std::size_t format_rfc3339(Time time, char* out) {
  std::int64_t seconds = time.ns / kSecond;
  std::int64_t fraction = time.ns % kSecond;
  if (fraction < 0) {
    fraction += kSecond;
    --seconds;
  }
  std::int64_t days = seconds / 86400;
  std::int64_t of_day = seconds % 86400;
  if (of_day < 0) {
    of_day += 86400;
    --days;
  }
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
  char* at = put_digits(out, static_cast<int>(date.year()), 4);
  *at++ = '-';
  at = put_digits(at, static_cast<unsigned>(date.month()), 2);
  *at++ = '-';
  at = put_digits(at, static_cast<unsigned>(date.day()), 2);
  *at++ = 'T';
  at = put_digits(at, of_day / 3600, 2);
  *at++ = ':';
  at = put_digits(at, of_day / 60 % 60, 2);
  *at++ = ':';
  at = put_digits(at, of_day % 60, 2);
  if (fraction != 0) {
    *at++ = '.';
    if (fraction % 1'000'000 == 0) at = put_digits(at, fraction / 1'000'000, 3);
    else if (fraction % 1'000 == 0) at = put_digits(at, fraction / 1'000, 6);
    else at = put_digits(at, fraction, 9);
  }
  *at++ = 'Z';
  return static_cast<std::size_t>(at - out);
}

std::string to_rfc3339(Time time) {
  char text[40];
  return {text, format_rfc3339(time, text)};
}

namespace {

struct Unit {
  std::string_view name;
  std::int64_t ns;
};

constexpr std::array<Unit, 9> kUnits{{{"w", 604'800 * kSecond},
                                      {"d", 86'400 * kSecond},
                                      {"h", 3'600 * kSecond},
                                      {"m", 60 * kSecond},
                                      {"s", kSecond},
                                      {"ms", 1'000'000},
                                      {"us", 1'000},
                                      {"\xC2\xB5s", 1'000},
                                      {"ns", 1}}};

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::invalid_argument, "'" + std::string(text.substr(0, 64)) +
                                                 "' is not a duration: expected a number and a unit (ns, us, ms, s, "
                                                 "m, h, d, w), such as 250ms or 1m30s");
  };
  if (text == "0") return Duration{};
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative) rest.remove_prefix(1);
  if (rest.empty()) return bad();
  long double total = 0;
  while (!rest.empty()) {
    std::size_t length = 0;
    long double number = 0;
    long double scale = 0;  // 0 until the decimal point
    for (; length < rest.size(); ++length) {
      const char c = rest[length];
      if (c >= '0' && c <= '9') {
        number = number * 10 + (c - '0');
        scale *= 10;
      } else if (c == '.' && scale == 0) {
        scale = 1;
      } else {
        break;
      }
    }
    if (length == 0 || (length == 1 && scale != 0)) return bad();
    if (scale > 1) number /= scale;
    rest.remove_prefix(length);
    std::size_t unit_length = 0;
    while (unit_length < rest.size() && (rest[unit_length] < '0' || rest[unit_length] > '9') &&
           rest[unit_length] != '.')
      ++unit_length;
    const std::string_view name = rest.substr(0, unit_length);
    const Unit* found = nullptr;
    for (const Unit& unit : kUnits)
      if (unit.name == name) found = &unit;
    if (found == nullptr) return bad();
    total += number * static_cast<long double>(found->ns);
    rest.remove_prefix(unit_length);
  }
  if (!(total <= static_cast<long double>(INT64_MAX))) return bad();  // also when so many digits made no number
  const auto ns = static_cast<std::int64_t>(std::llroundl(total));
  return Duration{negative ? -ns : ns};
}

std::string to_string(Duration duration) {
  if (duration.ns == 0) return "0s";
  std::string text = duration.ns < 0 ? "-" : "";
  std::uint64_t left =
      duration.ns < 0 ? 0 - static_cast<std::uint64_t>(duration.ns) : static_cast<std::uint64_t>(duration.ns);
  for (const Unit& unit : kUnits) {
    const auto size = static_cast<std::uint64_t>(unit.ns);
    if (unit.name == "w" || unit.name == "\xC2\xB5s" || left < size) continue;
    text += std::to_string(left / size);
    text += unit.name;
    left %= size;
  }
  return text;
}

}  // namespace flux
