#include "bus/bus.h"

namespace flux::bus {
namespace {

constexpr std::string_view kNames[kTopicCount] = {"raw-sensor-data", "processed-data", "device-events", "alerts",
                                                  "device-commands", "dead-letters",   "broker-state"};

}  // namespace

std::string_view to_string(Topic topic) { return kNames[static_cast<std::size_t>(topic)]; }

std::optional<Topic> topic_named(std::string_view name) {
  for (std::size_t i = 0; i < kTopicCount; ++i)
    if (kNames[i] == name) return static_cast<Topic>(i);
  return std::nullopt;
}

}  // namespace flux::bus
