#pragma once

#include "query/executor.h"
#include "registry/directory.h"

namespace flux::query {

/// Labels and units from the registry's devices in memory.
class RegistryCatalog final : public Catalog {
 public:
  explicit RegistryCatalog(const registry::Directory& directory) : directory_(directory) {}
  std::vector<std::string> devices_with(TenantId tenant,
                                        const std::vector<std::pair<std::string, std::string>>& labels) const override;
  std::string label(TenantId tenant, std::string_view device, std::string_view label) const override;
  std::string unit(TenantId tenant, std::string_view device, std::string_view metric) const override;

 private:
  const registry::Directory& directory_;
};

}  // namespace flux::query
