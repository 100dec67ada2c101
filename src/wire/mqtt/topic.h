#pragma once

#include <optional>
#include <string_view>

namespace flux::wire::mqtt {

/// Valid UTF-8 without U+0000 and surrogates, at most 65,535 bytes (MQTT 5, 1.5.4).
bool is_utf8_string(std::string_view text);

/// A name that one may publish to: not empty, no wildcards. UTF-8 is not looked at again.
bool is_topic_name(std::string_view topic);

/// A filter that one may subscribe to: `#` only as the last level, `+` only as a whole level; after `$share/{name}/` as
/// well.
bool is_topic_filter(std::string_view filter);

struct SharedFilter {
  std::string_view group;
  std::string_view filter;
};
/// The parts of `$share/{group}/{filter}`; nothing for other filters, and for those that are not valid.
std::optional<SharedFilter> shared_filter(std::string_view filter);

/// Whether `topic` falls under `filter` (both valid, the filter not shared). Wildcards at the start do not match `$…`.
///
///     matches("v1/devices/+/telemetry", "v1/devices/pump-1/telemetry")   true
///     matches("v1/devices/#", "v1/devices")                             true: `#` includes the level above
bool matches(std::string_view filter, std::string_view topic);

}  // namespace flux::wire::mqtt
