#include "app/command_bridge.h"

#include "gateway/rest/command_codec.h"

namespace flux::app {
namespace {

class ConnectionLink final : public control::Link {
 public:
  explicit ConnectionLink(std::function<void(ingest::CommandMessage)> receive) : receive_(std::move(receive)) {}
  void deliver(const control::Command& command) override {
    receive_({.id = command.id,
              .name = command.name,
              .payload = command.payload,
              .expires = command.expires_at,
              .again = command.deliveries > 1,
              .response = command.response});
  }

 private:
  std::function<void(ingest::CommandMessage)> receive_;
};

class AttachedFeed final : public ingest::CommandPort::Feed {
 public:
  AttachedFeed(control::Dispatcher& dispatcher, TenantId tenant, std::string device, control::LinkPtr link)
      : dispatcher_(dispatcher), tenant_(tenant), device_(std::move(device)), link_(std::move(link)) {
    dispatcher_.attach(tenant_, device_, link_);
  }
  ~AttachedFeed() override { dispatcher_.detach(tenant_, device_, std::move(link_)); }

 private:
  control::Dispatcher& dispatcher_;
  TenantId tenant_;
  std::string device_;
  control::LinkPtr link_;
};

}  // namespace

CommandBridge::CommandBridge(control::Dispatcher& dispatcher, stream::Hub& hub) : dispatcher_(dispatcher) {
  dispatcher.on_change([&hub](const control::Command& command) {
    hub.on_event(command.tenant, command.device, gateway::command_event(command));
  });
}

std::unique_ptr<ingest::CommandPort::Feed> CommandBridge::subscribe(
    TenantId tenant, std::string device, std::function<void(ingest::CommandMessage)> receive) {
  return std::make_unique<AttachedFeed>(dispatcher_, tenant, std::move(device),
                                        std::make_shared<ConnectionLink>(std::move(receive)));
}

void CommandBridge::received(TenantId tenant, const std::string& device, const std::string& id) {
  dispatcher_.received(tenant, device, id);
}

void CommandBridge::refused(TenantId tenant, const std::string& device, const std::string& id, bool had,
                            const std::string& reason) {
  dispatcher_.refused(tenant, device, id, had, reason);
}

void CommandBridge::answered(TenantId tenant, const std::string& device, const std::string& id,
                             ingest::CommandAnswer answer, std::function<void(const Result<>&)> done) {
  dispatcher_.answered(
      tenant, device, id,
      {.succeeded = answer.succeeded, .result = std::move(answer.result), .reason = std::move(answer.reason)},
      std::move(done));
}

}  // namespace flux::app
