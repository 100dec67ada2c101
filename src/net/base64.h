#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace flux::net {

/// Of the standard alphabet or the one for URLs, with or without padding; nothing when it is neither.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace flux::net
