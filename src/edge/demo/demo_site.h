#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "edge/demo/site_commands.h"
#include "edge/mqtt_sender.h"

namespace flux::edge::demo {

/// Keeps the simulated devices reporting, each over a connection of its own, and has them carry out commands one after
/// the other, as devices should: the same id again is answered again and not done twice. On one shard.
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
    Controls controls;
    std::deque<Told> told;                                     // the front is being carried out
    std::deque<std::pair<std::string, std::string>> answered;  // ids and answers, the last ones
    runtime::Timer work;
  };
  void report(Member& member);
  void tell(Member& member, std::string_view message);
  void begin(Member& member);
  void finish(Member& member, Outcome outcome);
  static void send_answer(Member& member, const std::string& id, const std::string& text);

  runtime::Shard& shard_;
  net::TcpClient& client_;
  net::Address mqtt_;
  std::string key_;
  bool running_ = false;
  std::vector<std::unique_ptr<Member>> members_;
};

/// The telemetry payload of `device` at `time`; empty while it is out of order.
std::string payload(const SiteDevice& device, Time time, const Controls& controls = {});

}  // namespace flux::edge::demo
