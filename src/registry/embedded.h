#pragma once

#include <functional>
#include <memory>

#include "core/result.h"
#include "observe/metrics.h"
#include "registry/changes.h"
#include "registry/directory.h"
#include "registry/registry.h"
#include "runtime/workers.h"
#include "store/database/database.h"

namespace flux::registry {

/// The registry in this process, over a database. Any thread; asynchronous calls come from shards.
///
///     TRY(auto registry, EmbeddedRegistry::open(*database, directory, workers, metrics));
class EmbeddedRegistry : public Registry, public Changes, public Discovery {
 public:
  /// Brings the schema up to date and loads everything into `directory`. Blocking (three seconds of CPU a million
  /// devices). All that is given must outlive the registry.
  static Result<std::unique_ptr<EmbeddedRegistry>> open(store::Database& database, Directory& directory,
                                                        runtime::Workers& workers, metrics::Registry& metrics);

  /// Writes what was discovered. Blocking; at the end of a drain. `unavailable` when the database takes nothing.
  virtual Result<> flush_blocking() = 0;

  /// Adds one who is told after a device was deleted, in the order of commits, on the database's thread; must not
  /// block. Before the registry is used; for as long as it lives.
  virtual void on_device_removed(std::function<void(TenantId tenant, const std::string& device)> removed) = 0;
};

}  // namespace flux::registry
