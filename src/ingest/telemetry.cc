#include "ingest/telemetry.h"

namespace flux::ingest {

TelemetryIntake::TelemetryIntake(Outbox& outbox, Admission& admission, const LimitsConfig& limits)
    : outbox_(outbox),
      admission_(admission),
      cache_(limits.cached_devices),
      reader_({.max_rows = limits.readings_per_message,
               .max_metrics = limits.metrics_per_reading,
               .max_string_bytes = limits.string_bytes}) {}

Result<> TelemetryIntake::read(std::string_view payload, wire::json::TelemetryForm form, const Source& source) {
  outbox_.begin();
  source_ = &source;
  first_.reset();
  held_.clear();
  made_ = false;
  auto read = reader_.read(payload, form, *this, outcome_);
  if (made_) {
    for (const DeviceSlotPtr& slot : held_)
      if (slot->registered() && cache_.find(slot->entry().tenant(), slot->id()) == nullptr) cache_.insert(slot);
  }
  return read;
}

Result<DeviceSlotPtr> TelemetryIntake::find(const auth::Identity& identity, std::string_view device) {
  if (auto slot = cache_.find(identity.tenant(), device)) {
    DO(identity.may_speak_for(device));
    return slot;
  }
  TRY(auto entry, admission_.admit(identity, device));
  if (entry) return cache_.insert(std::move(entry), outbox_);
  return std::make_shared<DeviceSlot>(identity.tenant(), device, static_cast<DeviceMaker&>(*this), outbox_);
}

registry::DeviceEntryPtr TelemetryIntake::known(TenantId tenant, std::string_view device) {
  return admission_.known(tenant, device);
}

Result<registry::DeviceEntryPtr> TelemetryIntake::make(TenantId /*tenant*/, std::string_view device) {
  made_ = true;
  return admission_.make(source_->identity, device);
}

Result<wire::json::DeviceRows*> TelemetryIntake::device(std::string_view name) {
  if (source_->device != nullptr) {
    DeviceSlot* const fixed = source_->device;
    if (!name.empty() && name != fixed->id()) {
      return fail(ErrorCode::invalid_argument,
                  "the payload names device '" + std::string(name.substr(0, 128)) + "', topic or credential '" +
                      fixed->id() + "'",
                  "device");
    }
    outbox_.touch(fixed->partition());
    return fixed;
  }
  if (name.empty()) {
    if (source_->identity.device().empty()) {
      return fail(ErrorCode::invalid_argument, "is missing: the credential names no device, so the payload must",
                  "device");
    }
    name = source_->identity.device();
  }
  TRY(auto slot, find(source_->identity, name));
  outbox_.touch(slot->partition());
  if (!first_) first_ = slot;
  DeviceSlot* const rows = slot.get();
  held_.push_back(std::move(slot));
  return rows;
}

}  // namespace flux::ingest
