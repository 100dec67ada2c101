#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "wire/json/telemetry_reader.h"

namespace flux::wire::json {

/// Where in a message a reading stands. A path is only written down when something is refused.
struct Place {
  std::string_view list;  // "readings" or empty
  bool in_list = false;
  std::uint32_t index = 0;

  [[nodiscard]] std::string path(std::string_view rest, std::string_view name = {}) const {
    std::string path;
    if (in_list) path.append(list).append("[").append(std::to_string(index)).append("]");
    if (!rest.empty()) {
      if (!path.empty()) path += '.';
      path += rest;
    }
    if (!name.empty()) {
      if (!path.empty()) path += '.';
      path += name;
    }
    return path;
  }
};

/// Writes into an outcome what was not taken: all of it counted, the first `most` listed.
class Refusals {
 public:
  explicit Refusals(std::size_t most) : most_(most) {}
  void begin(TelemetryOutcome& outcome) { outcome_ = &outcome; }

  /// A whole reading, for what stands in `field` (a path within it; may be empty).
  void add(const Place& place, std::string_view field, std::string message,
           ErrorCode code = ErrorCode::invalid_argument);
  /// A whole reading; `error.field` is the path within it.
  void add(const Place& place, Error error);
  /// One value, of which `under` (may be empty) and `name` are the path.
  void add_value(const Place& place, std::string_view under, std::string_view name, Error error);

 private:
  bool count();

  std::size_t most_;
  TelemetryOutcome* outcome_ = nullptr;
};

/// At most `limit` bytes of a text that somebody sent, and never cut inside a character.
std::string shortened(std::string_view text, std::size_t limit = 64);

}  // namespace flux::wire::json
