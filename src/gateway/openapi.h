#pragma once

#include "net/http.h"

namespace flux::gateway {

/// contracts/openapi.json as it was when this program was built.
const net::StaticAsset& openapi_document();

}  // namespace flux::gateway
