#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "gateway/json_text.h"
#include "net/http.h"
#include "registry/registry.h"

/// Query parameters that several routes share.
namespace flux::gateway {

/// `limit` (1 to `max`) and `cursor`.
Result<registry::Page> page_of(const net::HttpRequest& request, std::size_t fallback = 100, std::size_t max = 10'000);
Result<Epoch> epoch_of(const net::HttpRequest& request);
/// All values of a parameter, given repeatedly or with commas.
std::vector<std::string> list_of(const net::HttpRequest& request, std::string_view name);

}  // namespace flux::gateway
