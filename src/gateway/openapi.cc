#include "gateway/openapi.h"

#include "embedded/contracts.h"

namespace flux::gateway {

const net::StaticAsset& openapi_document() {
  static const net::StaticAsset asset = [] {
    const EmbeddedFile* file = find_embedded(embedded::contracts(), "/openapi.json");
    CHECK_MSG(file != nullptr, "contracts/openapi.json is part of the program");
    return net::StaticAsset::make("application/json", "no-cache", std::string(file->identity));
  }();
  return asset;
}

}  // namespace flux::gateway
