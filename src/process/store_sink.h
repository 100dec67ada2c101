#pragma once

#include "process/sinks.h"
#include "store/series/series_store.h"

namespace flux::process {

/// Readings to the time-series store; deletes too, at their place in the order.
class StoreSink final : public Sink {
 public:
  StoreSink(store::TimeSeriesStore& store, PartitionId partition);
  Result<> write(const Outputs& outputs) override;
  [[nodiscard]] Offset durable() const override { return store_.resume_from(partition_); }
  /// Records that the store refused for good; each was said in the log.
  [[nodiscard]] std::uint64_t refused_records() const { return refused_records_; }

 private:
  store::TimeSeriesStore& store_;
  PartitionId partition_;
  Offset resume_;           ///< the store had everything before this when we started
  std::size_t erased_ = 0;  ///< deletes of the present record that are done
  std::uint64_t refused_records_ = 0;
};

}  // namespace flux::process
