#include "process/store_sink.h"

#include "observe/log.h"

namespace flux::process {
namespace {

bool may_pass(ErrorCode code) {
  return code == ErrorCode::exhausted || code == ErrorCode::unavailable || code == ErrorCode::io;
}

store::SeriesSelector selector_of(const wire::control::EraseReadings& erase) {
  return {.tenant = erase.tenant,
          .database = erase.database,
          .retention_policy = erase.retention_policy,
          .measurements = erase.measurements,
          .devices = erase.devices,
          .fields = erase.fields,
          .tags = erase.tags};
}

}  // namespace

StoreSink::StoreSink(store::TimeSeriesStore& store, PartitionId partition)
    : store_(store), partition_(partition), resume_(store.resume_from(partition)) {}

Result<> StoreSink::write(const Outputs& outputs) {
  const Offset offset = outputs.position.offset;
  if (offset < resume_) return {};
  Result<> taken;
  if (outputs.readings.batch) {
    taken = store_.append(partition_, offset, *outputs.readings.batch);
  } else if (!outputs.erase.empty()) {
    for (; erased_ < outputs.erase.size() && taken; ++erased_) {
      const auto& erase = outputs.erase[erased_];
      taken = store_.erase(partition_, offset, selector_of(erase), {.from = erase.from, .to = erase.to});
      if (!taken) break;
    }
    if (taken || !may_pass(taken.error().code)) erased_ = 0;
    if (taken) store_.advance(partition_, offset);
  } else {
    store_.advance(partition_, offset);
  }
  if (taken || may_pass(taken.error().code)) return taken;
  // Trying again would end the same way, for ever: the partition must go on.
  ++refused_records_;
  log::error("the store refused a record", {{"partition", partition_}, {"offset", offset}, {"reason", taken.error()}});
  store_.advance(partition_, offset);
  return {};
}

}  // namespace flux::process
