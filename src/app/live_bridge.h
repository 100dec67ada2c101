#pragma once

#include "process/sinks.h"
#include "registry/directory.h"
#include "stream/hub.h"

namespace flux::app {

/// What processing makes, handed to the live hub: so that neither room knows of the other.
class LiveBridge final : public process::LiveSink {
 public:
  LiveBridge(stream::Hub& hub, const registry::Directory& directory) : hub_(hub), directory_(directory) {}
  void on_batch(const wire::ProcessedBatch& batch) override { hub_.on_batch(batch); }
  void on_state(const process::StateChange& change) override;
  void on_event(TenantId tenant, const std::string& device, const std::shared_ptr<const std::string>& json) override;

 private:
  stream::Hub& hub_;
  const registry::Directory& directory_;
};

}  // namespace flux::app
