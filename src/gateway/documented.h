#pragma once

#include "net/router.h"

namespace flux::gateway {

/// Refuses query parameters that are given twice where one value is wanted, and those that contracts/openapi.json does
/// not list for the operation: what the document says and what the server takes are one thing, and a misspelt parameter
/// is no silent wish.
net::Middleware documented_parameters();

}  // namespace flux::gateway
