#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "auth/credentials.h"
#include "bus/bus.h"
#include "edge/demo/demo_site.h"
#include "edge/own_readings.h"
#include "gateway/demo_control.h"
#include "registry/registry.h"
#include "runtime/service.h"

namespace flux::app {

/// The role edge: this machine's own readings and the demo site, both sent as any device sends. Their credentials are
/// ordinary ones, kept in the data folder so that a restart needs no new ones.
class EdgeService final : public runtime::Service, public gateway::DemoControl {
 public:
  struct Parts {
    runtime::Shards& shards;
    registry::Registry& registry;
    registry::Directory& directory;
    auth::Credentials& credentials;
    auth::DeviceAuthenticator& authenticator;
    bus::Bus& bus;
    std::function<net::Address()> mqtt;  ///< asked once it listens
    std::filesystem::path data_dir;
    bool open = false;  ///< no credentials are asked for, so none are made
  };
  EdgeService(Parts parts, edge::SelfConfig self, bool start_demo);
  ~EdgeService() override;

  [[nodiscard]] std::string_view name() const override { return "edge"; }
  Async<void> start() override;
  Async<void> drain() override;
  Async<void> stop() override;

  // The demo site, for the gateway: from any shard, done on the home shard.
  Async<Status> status() override;
  Async<Status> start_site() override;
  Async<void> remove() override;

 private:
  Async<Status> status_here();
  Async<Status> start_site_here();
  Async<void> remove_here();
  Async<std::string> own_token();
  Async<std::string> demo_key();
  [[nodiscard]] edge::demo::Past demo_past() const;
  Async<void> erase_readings(const std::vector<std::string>& devices);
  [[nodiscard]] std::size_t demo_devices() const;
  void end();

  Parts parts_;
  edge::SelfConfig self_;
  bool demo_wanted_;
  net::TcpClient client_;
  std::unique_ptr<edge::OwnReadings> own_;
  std::unique_ptr<edge::demo::DemoSite> site_;
};

}  // namespace flux::app
