#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "core/result.h"

/// What commands say to people. Servers repeat what devices have sent: on the way to a terminal all of it is made
/// printable, so that it does not steer it.
namespace flux::app {

/// A string without its quotes, everything else as JSON; as it is, for files.
std::string plain(const nlohmann::json& value);

/// `text` as a terminal may show it.
std::string seen(const std::string& text);
/// `plain(value)` as a terminal may show it; `-` for null.
std::string seen(const nlohmann::json& value);

/// A line on stdout that is JSON to every program, and steers no terminal.
void print_json(std::string_view json);

/// A line on stderr.
void remark(const std::string& sentence);
/// Says on stderr what went wrong, and gives the exit code: 2 when what was asked for is wrong, else 1.
int complain_about(const Error& error);

/// From now on SIGINT and SIGTERM do no more than make `interrupted` true.
void watch_interrupts();
bool interrupted();

}  // namespace flux::app
