#include "edge/demo/demo_site.h"

#include "observe/json.h"

namespace flux::edge::demo {

std::string payload(const SiteDevice& device, Time time) {
  const auto readings = report(device, time);
  if (readings.empty()) return {};
  std::string text = R"({"time":)" + std::to_string(time.ns) + R"(,"metrics":{)";
  for (std::size_t i = 0; i < readings.size(); ++i) {
    if (i != 0) text += ',';
    observe::append_json_string(text, readings[i].metric);
    text += ':';
    const Value& value = readings[i].value;
    if (const auto* word = std::get_if<std::string>(&value)) observe::append_json_string(text, *word);
    else if (const auto* flag = std::get_if<bool>(&value)) text += *flag ? "true" : "false";
    else observe::append_json_number(text, std::get<double>(value));
  }
  text += "}}";
  return text;
}

DemoSite::DemoSite(runtime::Shard& shard, net::TcpClient& client, net::Address mqtt, std::string key)
    : shard_(shard), client_(client), mqtt_(mqtt), key_(std::move(key)) {}

DemoSite::~DemoSite() = default;

void DemoSite::start() {
  if (running_) return;
  running_ = true;
  for (SiteDevice& device : devices()) {
    auto member = std::make_unique<Member>();
    member->device = std::move(device);
    member->sender = std::make_shared<MqttSender>(shard_, client_,
                                                  MqttSender::Options{.address = mqtt_,
                                                                      .client_id = member->device.device.device,
                                                                      .user_name = member->device.device.device,
                                                                      .password = key_});
    member->sender->start();
    report(*member);
    Member* one = member.get();
    member->timer = shard_.call_every(member->device.interval, [this, one] { report(*one); });
    members_.push_back(std::move(member));
  }
}

void DemoSite::report(Member& member) {
  const std::string text = payload(member.device, wall_now());
  if (!text.empty()) member.sender->publish("v1/devices/" + member.device.device.device + "/telemetry", text);
}

void DemoSite::stop() {
  running_ = false;
  for (const auto& member : members_) {
    member->timer.cancel();
    member->sender->stop();
  }
  members_.clear();
}

}  // namespace flux::edge::demo
