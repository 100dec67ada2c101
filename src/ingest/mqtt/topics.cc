#include "ingest/mqtt/topics.h"

#include "ingest/mqtt/command_topics.h"
#include "wire/mqtt/topic.h"

namespace flux::ingest::mqtt {
namespace {

constexpr std::string_view kTelemetry = "/telemetry";
constexpr std::string_view kOurs = "v1/";

/// For a sentence: what a client wrote, if it can be shown.
std::string shown(std::string_view topic) {
  std::string text(topic.substr(0, 128));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return wire::mqtt::is_utf8_string(text) ? text : "…";
}

std::unexpected<Error> invalid(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

}  // namespace

std::string_view device_of(std::string_view topic) {
  if (!topic.starts_with(kDevices) || !topic.ends_with(kTelemetry)) return {};
  if (topic.size() <= kDevices.size() + kTelemetry.size()) return {};
  return topic.substr(kDevices.size(), topic.size() - kDevices.size() - kTelemetry.size());
}

std::string telemetry_topic(std::string_view device) { return std::string(kDevices).append(device).append(kTelemetry); }

Result<> may_publish(const auth::Identity& identity, std::string_view topic) {
  if (topic.starts_with('$')) return invalid("topics that begin with $ are the server's");
  if (topic.starts_with(kDevices)) {
    const std::string_view rest = topic.substr(kDevices.size());
    const std::size_t slash = rest.find('/');
    if (slash == 0 || slash == std::string_view::npos || slash + 1 == rest.size())
      return invalid("topic '" + shown(topic) + "': expected v1/devices/{device}/ and a name");
    if (rest.substr(slash) == "/commands")
      return fail(ErrorCode::permission_denied, "commands are sent by POST /api/v1/commands");
    auto allowed = identity.may_speak_for(rest.substr(0, slash));
    if (!allowed) allowed.error().field.clear();
    return allowed;
  }
  if (topic.starts_with(kOurs)) {
    return invalid("topic '" + shown(topic) +
                   "' takes no readings: publish to v1/devices/{device}/telemetry or v1/telemetry");
  }
  if (identity.device().empty()) return {};
  return fail(ErrorCode::permission_denied, "topic '" + shown(topic) +
                                                "': a device may publish to v1/telemetry and below " + "v1/devices/" +
                                                shown(identity.device()) + "/ only");
}

Result<> may_subscribe(const auth::Identity& identity, std::string_view filter) {
  const std::string& device = identity.device();
  if (!device.empty()) {
    const std::string own = std::string(kDevices) + device;
    if (filter == own || filter == kOwnCommands || filter.starts_with(own + "/")) return {};
    return fail(ErrorCode::permission_denied,
                "a device may subscribe to v1/commands and below v1/devices/" + shown(device) + "/ only");
  }
  if (filter.starts_with('$') && filter != "$SYS" && !filter.starts_with("$SYS/"))
    return invalid("below $ there is $SYS/ only");
  return {};
}

bool is_published(std::string_view filter) { return filter != kOwnCommands && !commanded_device(filter).has_value(); }

}  // namespace flux::ingest::mqtt
