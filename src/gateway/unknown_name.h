#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"

namespace flux::gateway {

/// `invalid_argument` for a name that is none of `known`, with the nearest of them: `unknown field; did you mean
/// 'labels'? Expected device, labels or name`. `what` is `field` or `parameter`; `field` is the whole path of the name.
std::unexpected<Error> unknown_name(std::string_view what, std::string_view name, std::span<const std::string> known,
                                    std::string_view field);
std::unexpected<Error> unknown_name(std::string_view what, std::string_view name,
                                    std::initializer_list<std::string_view> known, std::string_view field);

}  // namespace flux::gateway
