#pragma once

#include "process/sinks.h"
#include "registry/directory.h"

namespace flux::process {

/// Tells the registry's memory who was heard from, which devices and metrics there are, and who is silent.
///
/// While old records are processed again after a start it says nothing: what they knew may have been deleted since.
/// When the log's end is reached, the state as it is then goes to the registry at once.
class RegistrySink final : public Sink {
 public:
  explicit RegistrySink(registry::Directory& directory) : directory_(directory) {}
  Result<> write(const Outputs& outputs) override;
  void caught_up(const PartitionState& state) override;

 private:
  /// Null for a device that was deleted while its readings were on their way: it stays deleted until it is found anew.
  registry::DeviceEntry* find(const DeviceState& device);
  registry::DeviceEntry& ensure(const DeviceState& device);
  void learn(registry::DeviceEntry& entry, const KnownMetrics& metrics);

  registry::Directory& directory_;
  bool live_ = false;
};

}  // namespace flux::process
