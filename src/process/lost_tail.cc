#include "process/lost_tail.h"

#include <algorithm>

#include "observe/log.h"
#include "runtime/completion.h"
#include "wire/control/control.h"

namespace flux::process {
namespace {

constexpr std::uint64_t kAtOnce = 1'000;

/// The first offset of the partition that nothing has been made of.
Result<Offset> first_unknown(bus::Bus& bus, const store::TimeSeriesStore& store, PartitionId partition) {
  Offset known = store.resume_from(partition);
  for (const bus::Topic topic : {bus::Topic::dead_letters, bus::Topic::device_events}) {
    TRY(const auto origin, bus.last_origin(topic, partition));
    if (origin && origin->input.partition == partition) known = std::max(known, origin->input.offset.next());
  }
  return known;
}

}  // namespace

Async<void> fill_lost_tail(bus::Bus& bus, const store::TimeSeriesStore& store) {
  const auto nothing =
      std::make_shared<const std::string>(wire::control::encode(std::span<const wire::control::ControlRecord>()));
  for (std::size_t i = 0; i < bus.partition_count(); ++i) {
    const PartitionId partition{static_cast<std::uint16_t>(i)};
    CO_TRY(const bus::PartitionInfo info, bus.info(bus::Topic::raw_sensor_data, partition));
    CO_TRY(const Offset known, first_unknown(bus, store, partition));
    if (known <= info.end) continue;
    log::warn("the log lost records that the store or topics know of; going on behind them",
              {{"partition", partition}, {"end", info.end}, {"known", known}});
    for (std::uint64_t left = known.value - info.end.value; left > 0;) {
      const std::uint64_t count = std::min(left, kAtOnce);
      std::vector<runtime::Completion<Offset>> under_way(count);
      for (const auto& done : under_way) {
        bus::Record record;
        record.kind = bus::RecordKind::control;
        record.payload = nothing;
        bus.producer().publish(bus::Topic::raw_sensor_data, partition, std::move(record),
                               [done](Result<Offset> offset) { done.resolve(std::move(offset)); });
      }
      for (const auto& done : under_way) CO_DO(co_await done);
      left -= count;
    }
  }
  co_return {};
}

}  // namespace flux::process
