#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "core/result.h"
#include "core/time.h"

/// Structured logs: a constant sentence and named values.
///
///     log::info("segment sealed", {{"partition", id}, {"bytes", size}});
///
/// The line is formatted by the caller and written by a thread of its own. A call never waits for the output: when that
/// is slower than the lines come, lines are dropped, counted, and the next line that fits says how many.
/// Any thread. Before `start` and after `stop` lines go straight to stderr.
namespace flux::log {

enum class Level : std::uint8_t { debug, info, warn, error, off };
enum class Format : std::uint8_t { automatic, console, json };

struct Config {
  Level level = Level::info;
  Format format = Format::automatic;
  std::string output = "stderr";

  template <class Fields>
  void describe(Fields& fields) {
    fields("level", level, "The least important lines that are written.",
           {{"debug", Level::debug},
            {"info", Level::info},
            {"warn", Level::warn},
            {"error", Level::error},
            {"off", Level::off}});
    fields("format", format, "JSON lines, or lines for people; auto means people on a terminal and JSON elsewhere.",
           {{"auto", Format::automatic}, {"console", Format::console}, {"json", Format::json}});
    fields("output", output, "`stderr`, `stdout`, or the path of a file that lines are appended to.");
  }
};

/// The value of a field, borrowed for the length of the call.
class Value {
 public:
  template <class T>
  Value(const T& value) {  // NOLINT(google-explicit-constructor)
    if constexpr (std::same_as<T, bool>) held_ = value;
    else if constexpr (std::floating_point<T>) held_ = static_cast<double>(value);
    else if constexpr (std::integral<T> && std::is_signed_v<T>) held_ = static_cast<std::int64_t>(value);
    else if constexpr (std::integral<T>) held_ = static_cast<std::uint64_t>(value);
    else if constexpr (std::convertible_to<const T&, std::string_view>) held_ = std::string_view(value);
    else if constexpr (std::same_as<T, Time>) held_ = to_rfc3339(value);
    else if constexpr (std::same_as<T, Error>) held_ = value.message;
    else if constexpr (requires { requires std::integral<decltype(value.value)>; }) *this = Value(value.value);  // ids
    else held_ = std::string(to_string(value));  // durations, enums, fingerprints
  }

  using Held = std::variant<bool, std::int64_t, std::uint64_t, double, std::string_view, std::string>;
  [[nodiscard]] const Held& held() const { return held_; }

 private:
  Held held_;
};

struct Field {
  std::string_view key;
  Value value;
};
using FieldList = std::initializer_list<Field>;

/// Lets one line through per interval and counts the others; one for each place that can fail again and again.
/// The next line that passes carries `suppressed`, their number. Any thread.
class Throttle {
 public:
  explicit constexpr Throttle(Duration interval) : interval_(interval) {}

  /// True when a line may be written now; `suppressed` then holds how many were not since the last.
  bool pass(Duration now, std::uint64_t& suppressed);

 private:
  Duration interval_;
  std::atomic<std::int64_t> next_ns_{INT64_MIN};
  std::atomic<std::uint64_t> suppressed_{0};
};

namespace detail {
inline std::atomic<Level> threshold{Level::info};
void write(Level level, std::string_view sentence, FieldList fields, std::uint64_t suppressed = 0);
void write(Throttle& throttle, Level level, std::string_view sentence, FieldList fields);
}  // namespace detail

[[nodiscard]] inline bool enabled(Level level) { return level >= detail::threshold.load(std::memory_order_relaxed); }

inline void debug(std::string_view sentence, FieldList fields = {}) {
  if (enabled(Level::debug)) detail::write(Level::debug, sentence, fields);
}
inline void info(std::string_view sentence, FieldList fields = {}) {
  if (enabled(Level::info)) detail::write(Level::info, sentence, fields);
}
inline void warn(std::string_view sentence, FieldList fields = {}) {
  if (enabled(Level::warn)) detail::write(Level::warn, sentence, fields);
}
inline void error(std::string_view sentence, FieldList fields = {}) {
  if (enabled(Level::error)) detail::write(Level::error, sentence, fields);
}
inline void info(Throttle& throttle, std::string_view sentence, FieldList fields = {}) {
  if (enabled(Level::info)) detail::write(throttle, Level::info, sentence, fields);
}
inline void warn(Throttle& throttle, std::string_view sentence, FieldList fields = {}) {
  if (enabled(Level::warn)) detail::write(throttle, Level::warn, sentence, fields);
}
inline void error(Throttle& throttle, std::string_view sentence, FieldList fields = {}) {
  if (enabled(Level::error)) detail::write(throttle, Level::error, sentence, fields);
}

/// Opens the output and starts the writing thread. Also makes sure that what was logged before a crash is written
/// (SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL). Call once, from main; fails when the file cannot be opened.
Result<> start(const Config& config);

/// Waits until every line so far is written.
void flush();

/// Writes what is left and ends the thread. Called at exit too.
void stop();

/// Lines dropped so far because the output was too slow.
std::uint64_t dropped();

std::string_view to_string(Level level);

/// One line without its newline, as `write` makes it; for tests and for other outputs.
std::string format_line(Format format, bool colour, Time time, Level level, std::string_view sentence, FieldList fields,
                        std::uint64_t suppressed = 0);

}  // namespace flux::log
