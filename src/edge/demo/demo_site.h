#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "edge/demo/site_commands.h"
#include "edge/mqtt_sender.h"

namespace flux::edge::demo {

/// What a site that is new has to say of its time before, so that a day can be seen at once. Told through the same
/// endpoint, behind the readings of the moment, the newest first, and finer the nearer.
struct Past {
  /// Up to where a device has told it already.
  std::function<Time(const std::string& device)> known_until;
  /// Called once when all of it has been acknowledged.
  std::function<void()> told;
};

/// The times between `known_until` and `now` that are worth a reading, ascending; seven days at most. The same ones
/// whenever it is asked, so that what is told twice replaces itself.
std::vector<Time> past_times(Time known_until, Time now);

/// Keeps the simulated devices reporting, each over a connection of its own, and has them carry out commands one after
/// the other, as devices should: the same id again is answered again and not done twice. On one shard.
class DemoSite {
 public:
  /// `key` is an ingest key of the tenant.
  DemoSite(runtime::Shard& shard, net::TcpClient& client, net::Address mqtt, std::string key, Past past);
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
    std::vector<Time> past;  // still to be told; the next ones are at the end
  };
  void report(Member& member);
  void tell_past();
  void tell(Member& member, std::string_view message);
  void begin(Member& member);
  void finish(Member& member, Outcome outcome);
  static void send_answer(Member& member, const std::string& id, const std::string& text);

  runtime::Shard& shard_;
  net::TcpClient& client_;
  net::Address mqtt_;
  std::string key_;
  Past past_;
  runtime::Timer past_timer_;
  std::size_t next_teller_ = 0;
  std::size_t told_ = 0;  // members in a row that have nothing more to tell
  bool running_ = false;
  std::vector<std::unique_ptr<Member>> members_;
};

/// The telemetry payload of `device` at `time`; empty while it is out of order.
std::string payload(const SiteDevice& device, Time time, const Controls& controls = {});

}  // namespace flux::edge::demo
