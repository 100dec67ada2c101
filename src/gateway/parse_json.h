#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "core/result.h"

namespace flux::gateway {

/// How deep arrays and objects of a request may lie within each other: documents are copied and written by recursion.
inline constexpr std::size_t kJsonNesting = 64;

/// A JSON text of a request. `invalid_argument` names the byte where it stops being JSON, the number that no double
/// holds, or the byte where it nests too deep. Never throws.
Result<nlohmann::json> parse_json(std::string_view text);

}  // namespace flux::gateway
