#pragma once

#include <string_view>

namespace flux::app {
inline constexpr std::string_view kVersion = FLUX_VERSION;
}  // namespace flux::app
