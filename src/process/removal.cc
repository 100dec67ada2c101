#include "process/removal.h"

#include <algorithm>
#include <string>
#include <vector>

namespace flux::process {
namespace {

void refuse(const TelemetryBatch& batch, const TelemetryBatch::Group& group, Time removed_at, Signals& signals) {
  DeviceState device;
  device.tenant = group.shape().key().tenant;
  device.id = group.shape().key().device;
  const std::string message =
      device.id + " was removed at " + to_rfc3339(removed_at) + ", while this reading was under way";
  const auto times = batch.times(group);
  for (std::size_t row = 0; row < times.size(); ++row) {
    std::size_t readings = 0;
    for (std::size_t field = 0; field < group.shape().field_count(); ++field)
      readings += batch.has(group, field, row) ? 1 : 0;
    signals.refuse_row(device, Time{times[row]}, batch.received_at(), readings, Reason::device_removed, message);
  }
}

}  // namespace

BatchPtr without_removed(const PartitionState& state, const BatchPtr& batch, Signals& signals) {
  const auto removed_at = [&](const TelemetryBatch::Group& group) {
    const ShapeKey& key = group.shape().key();
    return state.removed_around(key.tenant, key.device, batch->received_at());
  };
  const auto& groups = batch->groups();
  if (std::ranges::none_of(groups, [&](const auto& group) { return removed_at(group).has_value(); })) return batch;

  std::vector<TelemetryBatch::GroupSpec> specs;
  std::vector<std::uint64_t> words;
  for (const auto& group : groups) {
    if (const auto when = removed_at(group)) {
      refuse(*batch, group, *when, signals);
      continue;
    }
    const auto* const first = reinterpret_cast<const std::uint64_t*>(batch->times(group).data());
    words.insert(words.end(), first, first + group.word_count());
    specs.push_back({group.shape_ptr(), static_cast<std::uint32_t>(group.rows()), group.has_validity()});
  }
  if (specs.empty()) return nullptr;
  auto rest =
      TelemetryBatch::assemble(std::move(specs), std::move(words), std::string(batch->heap()), batch->received_at());
  CHECK_MSG(rest.has_value(), rest.error().message);
  return *std::move(rest);
}

}  // namespace flux::process
