#include "process/pipeline.h"

#include "process/discovery.h"
#include "process/enrichment.h"
#include "process/removal.h"
#include "process/validation.h"

namespace flux::process {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

}  // namespace

Pipeline::Pipeline(PartitionState& state) : state_(state), plans_(state) {
  auto presence = std::make_unique<Presence>(state);
  presence_ = presence.get();
  stages_.push_back(std::move(presence));
  stages_.push_back(std::make_unique<Validation>(state));
  stages_.push_back(std::make_unique<Discovery>(state));
  stages_.push_back(std::make_unique<Enrichment>());
}

void Pipeline::apply(const bus::Record& record, Outputs& outputs) {
  outputs.position = {state_.partition(), record.offset};
  outputs.received_at = {};
  outputs.readings.batch = nullptr;
  outputs.readings.contexts.clear();
  outputs.readings.position = outputs.position;
  outputs.heard.clear();
  outputs.erase.clear();
  outputs.readings_in = 0;
  plans_.trim();
  signals_.begin(outputs.position, state_.rules().dead_letters_per_record);
  if (record.kind == bus::RecordKind::telemetry && record.batch) apply_readings(record.batch, outputs);
  else if (record.kind == bus::RecordKind::control && record.payload) apply_control(record, outputs);
  signals_.end();
  outputs.refused = signals_.refused();
  outputs.signals = signals_.take();
}

void Pipeline::apply_readings(const BatchPtr& batch, Outputs& outputs) {
  work_.position = outputs.position;
  work_.received_at = batch->received_at();
  work_.plans.clear();
  outputs.received_at = batch->received_at();
  outputs.readings_in = batch->reading_count();
  work_.batch = without_removed(state_, batch, signals_);
  if (!work_.batch) return;
  for (const auto& group : work_.batch->groups()) {
    ShapePlan& plan = plans_.plan(group.shape_ptr());
    work_.plans.push_back(&plan);
    outputs.heard.push_back(plan.device);
  }
  for (const auto& stage : stages_) {
    stage->apply(work_, signals_);
    if (!work_.batch) break;
  }
  if (!work_.batch) return;
  outputs.readings.batch = std::move(work_.batch);
  outputs.readings.contexts.swap(work_.contexts);
}

void Pipeline::apply_control(const bus::Record& record, Outputs& outputs) {
  auto changes = wire::control::decode_all(*record.payload);
  if (!changes) {
    signals_.refuse_record(Reason::corrupt_record, changes.error().message);
    return;
  }
  for (wire::control::ControlRecord& change : *changes) {
    std::visit(Overloaded{
                   [&](const wire::control::Tick& tick) { presence_->apply(tick, signals_); },
                   [&](wire::control::EraseReadings& erase) {
                     if (state_.apply(erase)) outputs.erase.push_back(std::move(erase));
                   },
                   [&](const auto& other) { state_.apply(other); },
               },
               change);
  }
}

}  // namespace flux::process
