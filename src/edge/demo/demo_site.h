#pragma once

#include <memory>
#include <string>
#include <vector>

#include "edge/demo/site.h"
#include "edge/mqtt_sender.h"

namespace flux::edge::demo {

/// Keeps the simulated devices reporting, each over a connection of its own. On one shard.
class DemoSite {
 public:
  /// `key` is an ingest key of the tenant.
  DemoSite(runtime::Shard& shard, net::TcpClient& client, net::Address mqtt, std::string key);
  ~DemoSite();

  void start();
  void stop();
  [[nodiscard]] bool running() const { return running_; }

 private:
  struct Member {
    SiteDevice device;
    std::shared_ptr<MqttSender> sender;
    runtime::Timer timer;
  };
  void report(Member& member);

  runtime::Shard& shard_;
  net::TcpClient& client_;
  net::Address mqtt_;
  std::string key_;
  bool running_ = false;
  std::vector<std::unique_ptr<Member>> members_;
};

/// The telemetry payload of `device` at `time`; empty while it is out of order.
std::string payload(const SiteDevice& device, Time time);

}  // namespace flux::edge::demo
