#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bus/bus.h"
#include "observe/health.h"
#include "process/change_feed.h"
#include "process/checkpoints.h"
#include "process/config.h"
#include "process/metrics.h"
#include "process/sinks.h"
#include "process/worker.h"
#include "registry/changes.h"
#include "registry/directory.h"
#include "runtime/service.h"
#include "runtime/shard.h"
#include "runtime/workers.h"
#include "store/series/series_store.h"

namespace flux::process {

/// The process role: a worker for every partition of the log, spread over the shards (partition p on shard p modulo
/// their number), and the feed of the registry's changes on the home shard.
class Service final : public runtime::Service {
 public:
  struct Parts {
    runtime::Shards& shards;
    runtime::Workers& workers;  ///< checkpoints are written, the store is flushed there
    bus::Bus& bus;
    store::TimeSeriesStore& store;
    Checkpoints& checkpoints;
    registry::Directory& directory;
    registry::Changes& changes;
    LiveSink* live = nullptr;  ///< null: nobody looks on
    metrics::Registry& metrics;
    observe::Health& health;
  };
  /// What `parts` refers to outlives the service.
  Service(const Parts& parts, const Config& config);
  ~Service() override;

  [[nodiscard]] std::string_view name() const override { return "process"; }
  /// Pending changes of the registry first, then each partition from where the last run ended. Old records may still
  /// be under way when it returns: `lag` tells.
  Async<void> start() override;
  /// Everything in the log is processed, in the store's parts, and behind a checkpoint. Ingest has stopped before.
  Async<void> drain() override;
  Async<void> stop() override;

  /// Records of all partitions that are not processed yet. Any thread, as of at most 100 ms ago.
  [[nodiscard]] std::uint64_t lag() const;
  /// Which partitions have got no further for `patience`, in words; empty: none. Any thread, while started.
  [[nodiscard]] std::string stalled(Duration patience) const;
  [[nodiscard]] runtime::Shard& shard_of(PartitionId partition) const;

 private:
  Parts parts_;
  Config config_;
  Metrics metrics_;
  std::unique_ptr<ChangeFeed> feed_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<metrics::Registration> gauges_;
};

}  // namespace flux::process
