#pragma once

#include <string>
#include <string_view>

#include "auth/device_auth.h"
#include "core/result.h"

/// Which topics mean something, and who may use which.
///
///     v1/telemetry                    readings of the device that the credential is for
///     v1/devices/{device}/telemetry   readings, by any credential that may speak for the device
///     v1/devices/{device}/…           what that device and others tell each other
///     v1/commands, …/commands, …/response: command_topics.h
///     v1/…                            nothing else: a name that was mistyped is told so
///     $SYS/…                          what the broker says of itself: to all but devices
///     anything else                   of the tenant's keys, among themselves; devices have their own tree
namespace flux::ingest::mqtt {

inline constexpr std::string_view kOwnTelemetry = "v1/telemetry";
inline constexpr std::string_view kDevices = "v1/devices/";

/// The device of `v1/devices/{device}/telemetry`; empty for another topic.
std::string_view device_of(std::string_view topic);
std::string telemetry_topic(std::string_view device);

/// Of a topic that is neither telemetry nor an answer. `invalid_argument`: nobody can; `permission_denied`: this
/// credential cannot.
Result<> may_publish(const auth::Identity& identity, std::string_view topic);
/// Of the filter inside a shared subscription, for those.
Result<> may_subscribe(const auth::Identity& identity, std::string_view filter);

/// What is published can come by this filter: false for the exact topics of commands, which only commands use.
bool is_published(std::string_view filter);

}  // namespace flux::ingest::mqtt
