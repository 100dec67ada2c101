#pragma once

#include <memory>
#include <string>

#include "core/time.h"
#include "edge/machine_probe.h"
#include "edge/mqtt_sender.h"
#include "registry/registry.h"

namespace flux::edge {

/// `self.*`: this machine as the first device.
struct SelfConfig {
  bool enabled = true;
  Duration interval = 1_s;
  std::string device = "this-machine";

  template <class Fields>
  void describe(Fields& fields) {
    fields("enabled", enabled, "Whether this machine reports its own load, memory, disk and network as a device.");
    fields("interval", interval, "Time between two reports.", {.min = 100_ms, .max = 1_h});
    fields("device", device, "The id of the device that this machine reports as.");
  }
};

inline constexpr std::string_view kMachineProfile = "machine";
/// What a machine measures, with units.
registry::Profile machine_profile();
registry::NewDevice machine_device(const SelfConfig& config);

/// Reports how this machine is, through the public MQTT endpoint. On one shard.
class OwnReadings {
 public:
  /// `token` is the device's. `disk` is a path on the file system whose fill level is reported.
  OwnReadings(runtime::Shard& shard, net::TcpClient& client, net::Address mqtt, std::string token,
              std::filesystem::path disk, SelfConfig config);

  void start();
  void stop();

 private:
  void report();

  runtime::Shard& shard_;
  SelfConfig config_;
  MachineProbe probe_;
  std::shared_ptr<MqttSender> sender_;
  runtime::Timer timer_;
};

}  // namespace flux::edge
