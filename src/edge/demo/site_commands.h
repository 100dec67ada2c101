#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "edge/demo/site.h"

namespace flux::edge::demo {

/// What devices of a kind can be told.
std::vector<registry::ProfileCommand> known_commands(Kind kind);

/// What becomes of a command.
struct Outcome {
  Duration takes;
  bool succeeded = false;
  std::string result = "null";  ///< JSON
  std::string reason;           ///< why it failed
  Controls controls;            ///< of the device, once it is done
};

/// How `device` carries out a command that begins at `now`; `payload` is JSON. It fails where the device's own readings
/// give a reason (an open door, a hot bearing, a tripped inverter), and where it does not know what is asked.
Outcome carry_out(const SiteDevice& device, const Controls& controls, std::string_view name, std::string_view payload,
                  Time now);

/// A command as it came over MQTT.
struct Told {
  std::string id;
  std::string name;
  std::string payload;  ///< JSON
  Time expires;
};
Result<Told> read_command(std::string_view message);
/// The answer to it.
std::string answer(const Outcome& outcome);

}  // namespace flux::edge::demo
