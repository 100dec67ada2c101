#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace flux::app {

/// A port that this process is about to listen on.
struct WantedPort {
  std::string_view what;  ///< `HTTP`
  std::string_view flag;  ///< what chooses another one: `--http-port`
  std::string host;
  std::uint16_t port = 0;  ///< 0: a free one will be picked
};

/// Says which of them other programs hold, all in one sentence with the remedy: whoever moves one port must not learn
/// of the next only then. What else may be wrong with an address, listening itself will say.
Result<> check_ports(const std::vector<WantedPort>& wanted);

}  // namespace flux::app
