#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "app/client/api_client.h"

namespace flux::app {

/// `text` as one segment of a path.
std::string path_segment(const std::string& text);

/// Calls `each` for the devices that match, page by page, until it returns false.
Result<> for_devices(ApiClient& client, const Parameters& parameters,
                     const std::function<bool(const nlohmann::json& device)>& each);

/// `there is no device 'pmp-1'; did you mean 'pump-1'?` as `not_found`; nothing when it is there.
Result<> device_is_known(ApiClient& client, const std::string& device);

/// Of what a query named and did not find, the names that the server does not know at all: one sentence each.
std::vector<std::string> unknown_names(ApiClient& client, const std::vector<std::string>& devices,
                                       const std::vector<std::string>& metrics,
                                       const std::set<std::string>& found_devices,
                                       const std::set<std::string>& found_metrics);

}  // namespace flux::app
