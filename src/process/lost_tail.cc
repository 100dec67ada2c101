#include "process/lost_tail.h"

#include <algorithm>

#include "observe/log.h"
#include "runtime/completion.h"
#include "wire/control/control.h"

namespace flux::process {
namespace {

constexpr std::uint64_t kAtOnce = 1'000;

/// How far into the partition something has been made of it, and of what that is known.
struct Known {
  Offset end;
  std::string by;
};

Result<Known> known_beyond(Offset end, bus::Bus& bus, const store::TimeSeriesStore& store, Checkpoints& checkpoints,
                           PartitionId partition) {
  Known known{.end = end, .by = {}};
  const auto note = [&](Offset next, std::string_view by) {
    if (next <= end) return;
    known.end = std::max(known.end, next);
    known.by.append(known.by.empty() ? "" : ", ").append(by);
  };
  note(store.resume_from(partition), "store");
  TRY(const auto written, checkpoints.list(partition));
  if (!written.empty()) note(written.front(), "checkpoint");
  for (const bus::Topic topic : {bus::Topic::dead_letters, bus::Topic::device_events, bus::Topic::processed_data}) {
    TRY(const auto origin, bus.last_origin(topic, partition));
    if (origin && origin->input.partition == partition) note(origin->input.offset.next(), bus::to_string(topic));
  }
  return known;
}

}  // namespace

Async<void> fill_lost_tail(bus::Bus& bus, const store::TimeSeriesStore& store, Checkpoints& checkpoints,
                           Metrics& metrics) {
  const auto nothing =
      std::make_shared<const std::string>(wire::control::encode(std::span<const wire::control::ControlRecord>()));
  for (std::size_t i = 0; i < bus.partition_count(); ++i) {
    const PartitionId partition{static_cast<std::uint16_t>(i)};
    CO_TRY(const bus::PartitionInfo info, bus.info(bus::Topic::raw_sensor_data, partition));
    CO_TRY(const Known known, known_beyond(info.end, bus, store, checkpoints, partition));
    if (known.end == info.end) continue;
    const std::uint64_t lost = known.end.value - info.end.value;
    log::error("the log lost records that others know of; going on behind them",
               {{"partition", partition}, {"from_offset", info.end}, {"records", lost}, {"known_by", known.by}});
    metrics.lost_records.add(lost);
    for (std::uint64_t left = lost; left > 0;) {
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
