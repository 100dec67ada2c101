#pragma once

#include <string>

#include "control/commands.h"
#include "core/epoch.h"

/// How commands are spelled in the API.
namespace flux::gateway {

void append_command(std::string& out, const control::Command& command, Epoch epoch);
/// A change of a command as live subscribers of events see it: an event of type `command`, the command in `details`.
std::string command_event(const control::Command& command);
/// The body of `POST /commands`. Names the field that is wrong.
Result<control::Commands::Request> parse_command_request(std::string_view body);

}  // namespace flux::gateway
