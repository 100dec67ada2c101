#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace flux {

/// A length of time in nanoseconds.
struct Duration {
  std::int64_t ns = 0;

  friend constexpr auto operator<=>(Duration, Duration) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
  friend constexpr Duration operator*(Duration a, std::int64_t factor) { return {a.ns * factor}; }
  [[nodiscard]] constexpr std::int64_t millis() const { return ns / 1'000'000; }
  [[nodiscard]] constexpr double seconds() const { return static_cast<double>(ns) / 1e9; }
};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds. Covers 1677 to 2262.
struct Time {
  std::int64_t ns = 0;

  static constexpr Time min() { return {INT64_MIN}; }
  static constexpr Time max() { return {INT64_MAX}; }
  friend constexpr auto operator<=>(Time, Time) = default;
  friend constexpr Time operator+(Time t, Duration d) { return {t.ns + d.ns}; }
  friend constexpr Time operator-(Time t, Duration d) { return {t.ns - d.ns}; }
  friend constexpr Duration operator-(Time a, Time b) { return {a.ns - b.ns}; }
};

inline namespace literals {
constexpr Duration operator""_ns(unsigned long long v) { return {static_cast<std::int64_t>(v)}; }
constexpr Duration operator""_us(unsigned long long v) { return {static_cast<std::int64_t>(v) * 1'000}; }
constexpr Duration operator""_ms(unsigned long long v) { return {static_cast<std::int64_t>(v) * 1'000'000}; }
constexpr Duration operator""_s(unsigned long long v) { return {static_cast<std::int64_t>(v) * 1'000'000'000}; }
constexpr Duration operator""_min(unsigned long long v) { return {static_cast<std::int64_t>(v) * 60'000'000'000}; }
constexpr Duration operator""_h(unsigned long long v) { return {static_cast<std::int64_t>(v) * 3'600'000'000'000}; }
constexpr std::uint64_t operator""_KiB(unsigned long long v) { return v << 10; }
constexpr std::uint64_t operator""_MiB(unsigned long long v) { return v << 20; }
constexpr std::uint64_t operator""_GiB(unsigned long long v) { return v << 30; }
}  // namespace literals

/// The machine's wall clock. Only edges (ingest, timers) ask it; processing gets time as input.
Time wall_now();

/// A clock that never steps back; only differences mean anything.
Duration monotonic_now();

/// RFC 3339 (`2026-01-01T00:00:00Z`, offsets, up to nine fractional digits; a space for the `T` and a lower-case
/// `t`/`z` too). A leap second `:60` is taken as the first instant of the next minute. Fails with what was expected.
Result<Time> parse_rfc3339(std::string_view text);

/// A Unix time whose unit is taken from its magnitude: below 3e11 seconds, below 3e14 ms, below 3e17 µs, else ns
/// (by absolute value, so mid 1979 to 2262 can be said in each unit, and the year 9999 in seconds is out of range
/// rather than 1978 in ms).
Result<Time> time_from_unix(std::int64_t value);
/// The same for a number with a fraction: `1767225600.25` is a quarter second past.
Result<Time> time_from_unix(double value);

/// `2026-01-01T00:00:00Z`, with 3, 6 or 9 fractional digits only where the time has them.
std::string to_rfc3339(Time time);
/// Writes the same into `out` (at least 32 bytes) and returns the length.
std::size_t format_rfc3339(Time time, char* out);

/// `90s`, `1m30s`, `250ms`, `1h`, `7d`, `2w`; a bare `0` too.
Result<Duration> parse_duration(std::string_view text);
std::string to_string(Duration duration);

}  // namespace flux
