#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/time.h"

namespace flux::control {

/// How far a command has come. Each is something that we know, never something that we expect:
///
///     queued ──▶ sent ──▶ delivered ──▶ succeeded | failed
///       │          │           │
///       │          └───────────┴──────▶ expired          (queued ones too)
///       └──▶ cancelled      (the others too, when the device is deleted)
///
/// `sent`: written to the database before the first byte goes to the device, so from here on it may have the command.
/// `delivered`: the device said so, by its PUBACK or its answer. Without a wanted response this is the end.
/// The numbers are in the database.
enum class State : std::uint8_t { queued = 1, sent, delivered, succeeded, failed, expired, cancelled };
inline constexpr std::size_t kStateCount = 7;
std::string_view to_string(State state);
std::optional<State> state_from(std::string_view text);

struct Command {
  std::uint64_t sequence = 0;  ///< in the order in which they were given, over all devices
  std::string id;              ///< the same on every delivery
  TenantId tenant;
  std::string device;
  std::string name;
  std::string payload;  ///< JSON
  bool response = true;
  std::string sender;  ///< the user's name
  State state = State::queued;
  Time created_at;
  Time expires_at;
  std::optional<Time> sent_at;       ///< first handed to a connection
  std::optional<Time> delivered_at;  ///< also kept when it expired before
  std::optional<Time> finished_at;
  std::uint32_t deliveries = 0;       ///< times handed to a connection
  std::optional<std::string> result;  ///< JSON, as the device answered
  std::string reason;                 ///< of `failed`, `expired` and `cancelled`, for people

  [[nodiscard]] bool finished() const { return finished_at.has_value(); }
};

/// What one step did to a command: for counts and for those who watch.
struct Change {
  std::optional<State> before;  ///< nothing: it is new, or was finished already
  Command after;
};
using Changes = std::vector<Change>;

/// What a device said of a command that it was given.
struct Answer {
  bool succeeded = false;
  std::optional<std::string> result;  ///< JSON
  std::string reason;                 ///< why it failed
};

}  // namespace flux::control
