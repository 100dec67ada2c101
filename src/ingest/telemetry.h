#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "auth/device_auth.h"
#include "ingest/admission.h"
#include "ingest/device_cache.h"
#include "ingest/outbox.h"
#include "wire/json/telemetry_reader.h"

namespace flux::ingest {

/// One shard's way from payloads to the outbox: reads JSON, admits the devices that it names, stages their rows.
///
///     intake.read(payload, TelemetryForm::any, {identity, slot});   // rows are staged, or nothing is
///     const auto& outcome = intake.outcome();                       // what was taken and what refused
///     const unsigned batches = intake.commit(session, ticket);      // always, also after an error
class TelemetryIntake final : private wire::json::TelemetrySink, private DeviceMaker {
 public:
  TelemetryIntake(Outbox& outbox, Admission& admission, const LimitsConfig& limits);

  struct Source {
    const auth::Identity& identity;
    /// The device of topic or credential, admitted before; null when the payload must name it.
    DeviceSlot* device = nullptr;
  };

  Result<> read(std::string_view payload, wire::json::TelemetryForm form, const Source& source);
  [[nodiscard]] const wire::json::TelemetryOutcome& outcome() const { return outcome_; }
  unsigned commit(const std::shared_ptr<Answerer>& answerer, std::uint64_t ticket) {
    return outbox_.commit(answerer, ticket);
  }

  /// The slot of a device that the credential may speak for, registered or to be made with its first reading; errors
  /// as `Admission::admit`.
  Result<DeviceSlotPtr> find(const auth::Identity& identity, std::string_view device);

  /// The first device that the last message named, for traces; null when none was admitted.
  [[nodiscard]] const DeviceSlotPtr& first_device() const { return first_; }

 private:
  Result<wire::json::DeviceRows*> device(std::string_view name) override;
  registry::DeviceEntryPtr known(TenantId tenant, std::string_view device) override;
  Result<registry::DeviceEntryPtr> make(TenantId tenant, std::string_view device) override;

  Outbox& outbox_;
  Admission& admission_;
  DeviceCache cache_;
  wire::json::TelemetryReader reader_;
  wire::json::TelemetryOutcome outcome_;
  const Source* source_ = nullptr;
  bool made_ = false;  // a device, for this message
  DeviceSlotPtr first_;
  std::vector<DeviceSlotPtr> held_;  // of this message, so that none leaves the cache meanwhile
};

}  // namespace flux::ingest
