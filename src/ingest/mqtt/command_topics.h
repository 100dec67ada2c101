#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "ingest/commands.h"

/// The topics of commands, and what is said on them.
///
///     v1/commands                                   to the device that the credential is for
///     v1/devices/{device}/commands                  the same, for any credential that may speak for the device
///     v1/commands/{id}/response                     from it
///     v1/devices/{device}/commands/{id}/response
namespace flux::ingest::mqtt {

inline constexpr std::string_view kOwnCommands = "v1/commands";
std::string commands_topic(std::string_view device);

/// The device of `v1/devices/{device}/commands`; nothing for other filters, and for those with wildcards.
std::optional<std::string_view> commanded_device(std::string_view filter);

struct ResponseTopic {
  std::string_view device;  ///< empty: the credential's
  std::string_view id;
};
std::optional<ResponseTopic> response_topic(std::string_view topic);

/// `{"id":…,"name":…,"payload":…,"expires":…}`
std::string command_payload(const CommandMessage& command);
/// `{"status":"succeeded"|"failed","result":…,"reason":…}`. The error names the field.
Result<CommandAnswer> parse_answer(std::string_view payload);

}  // namespace flux::ingest::mqtt
