#include "edge/own_readings.h"

#include <unistd.h>

#include "observe/json.h"

namespace flux::edge {
namespace {

std::string host_name() {
  char name[256]{};
  if (gethostname(name, sizeof name - 1) != 0 || *name == '\0') return "this machine";
  return name;
}

}  // namespace

registry::Profile machine_profile() {
  registry::Profile profile;
  profile.id = kMachineProfile;
  profile.name = "Machine";
  for (const MachineMetric& metric : machine_metrics()) {
    registry::ProfileMetric& one = profile.metrics.emplace_back();
    one.name = metric.name;
    if (!metric.unit.empty()) one.unit = std::string(metric.unit);
  }
  profile.silent_after = 30_s;
  return profile;
}

registry::NewDevice machine_device(const SelfConfig& config) {
  registry::NewDevice device;
  device.device = config.device;
  device.name = host_name();
  device.profile = kMachineProfile;
  return device;
}

OwnReadings::OwnReadings(runtime::Shard& shard, net::TcpClient& client, net::Address mqtt, std::string token,
                         std::filesystem::path disk, SelfConfig config)
    : shard_(shard),
      config_(std::move(config)),
      probe_(std::move(disk)),
      sender_(std::make_shared<MqttSender>(shard, client,
                                           MqttSender::Options{.address = mqtt,
                                                               .client_id = "fluxgate-" + config_.device,
                                                               .user_name = config_.device,
                                                               .password = std::move(token)})) {}

void OwnReadings::start() {
  sender_->start();
  probe_.read(shard_.now());  // rates need a first look
  timer_ = shard_.call_every(config_.interval, [this] { report(); });
}

void OwnReadings::stop() {
  timer_.cancel();
  sender_->stop();
}

void OwnReadings::report() {
  const auto readings = probe_.read(shard_.now());
  if (readings.empty()) return;
  std::string payload = R"({"time":)" + std::to_string(wall_now().ns) + R"(,"metrics":{)";
  for (std::size_t i = 0; i < readings.size(); ++i) {
    if (i != 0) payload += ',';
    observe::append_json_string(payload, readings[i].metric);
    payload += ':';
    observe::append_json_number(payload, readings[i].value);
  }
  payload += "}}";
  sender_->publish("v1/telemetry", payload);
}

}  // namespace flux::edge
