#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace flux::app {

/// Names and values of a query string, in order.
using Parameters = std::vector<std::pair<std::string, std::string>>;

/// `name=value` taken apart; `what` names it in the error.
Result<std::pair<std::string, std::string>> split_pair(const std::string& text, std::string_view what);

/// Labels come as key=value on the command line and go as key:value.
Result<> add_labels(Parameters& parameters, const std::vector<std::string>& labels);

}  // namespace flux::app
