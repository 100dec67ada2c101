#pragma once

#include "control/dispatcher.h"
#include "ingest/commands.h"
#include "stream/hub.h"

namespace flux::app {

/// Hands the commands of `control` to the connections of `ingest`, and what devices say back; shows each change to the
/// live hub. So that none of these rooms knows of another.
class CommandBridge final : public ingest::CommandPort {
 public:
  CommandBridge(control::Dispatcher& dispatcher, stream::Hub& hub);

  std::unique_ptr<Feed> subscribe(TenantId tenant, std::string device,
                                  std::function<void(ingest::CommandMessage)> receive) override;
  void received(TenantId tenant, const std::string& device, const std::string& id) override;
  void refused(TenantId tenant, const std::string& device, const std::string& id, bool had,
               const std::string& reason) override;
  void answered(TenantId tenant, const std::string& device, const std::string& id, ingest::CommandAnswer answer,
                std::function<void(const Result<>&)> done) override;

 private:
  control::Dispatcher& dispatcher_;
};

}  // namespace flux::app
