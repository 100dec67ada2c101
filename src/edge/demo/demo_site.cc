#include "edge/demo/demo_site.h"

#include <algorithm>
#include <array>

#include "observe/json.h"
#include "observe/log.h"

namespace flux::edge::demo {
namespace {
constexpr std::size_t kAnswersKept = 32;

// Of the past, beginning with what is nearest: how far back, and how far apart the readings are.
struct Stretch {
  Duration reach;
  Duration step;
};
constexpr std::array<Stretch, 4> kPast{{{1_h, 5_s}, {6_h, 20_s}, {24_h, 1_min}, {24_h * 7, 10_min}}};
// One message of one device each time: some five thousand readings a second, for about half a minute.
constexpr Duration kPastPace = 25_ms;
constexpr std::size_t kPastReadings = 120;
// What comes within two seconds of a removal is refused, and a site may be set up again right after one.
constexpr Duration kPastDelay = 3_s;

log::Throttle unreadable_throttle(1_min);
}  // namespace

std::string payload(const SiteDevice& device, Time time, const Controls& controls) {
  const auto readings = report(device, time, controls);
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

std::vector<Time> past_times(Time known_until, Time now) {
  std::vector<Time> times;
  Time end = now;
  for (const Stretch& stretch : kPast) {
    const Time begin = std::max(now - stretch.reach, known_until);
    for (std::int64_t at = (end.ns - 1) / stretch.step.ns * stretch.step.ns; at > begin.ns; at -= stretch.step.ns)
      times.push_back({at});
    end = std::min(end, times.empty() ? end : times.back());
  }
  std::ranges::reverse(times);
  return times;
}

DemoSite::DemoSite(runtime::Shard& shard, net::TcpClient& client, net::Address mqtt, std::string key, Past past)
    : shard_(shard), client_(client), mqtt_(mqtt), key_(std::move(key)), past_(std::move(past)) {}

DemoSite::~DemoSite() = default;

void DemoSite::start() {
  if (running_) return;
  running_ = true;
  const Time now = wall_now();
  for (SiteDevice& device : devices()) {
    auto member = std::make_unique<Member>();
    member->device = std::move(device);
    Member* one = member.get();
    const std::string& id = member->device.device.device;
    member->sender = std::make_shared<MqttSender>(
        shard_, client_,
        MqttSender::Options{.address = mqtt_,
                            .client_id = id,
                            .user_name = id,
                            .password = key_,
                            .subscribe = "v1/devices/" + id + "/commands",
                            .on_message = [this, one](std::string_view message) { tell(*one, message); }});
    member->past = past_times(past_.known_until(id), now);
    member->sender->start();
    report(*member);
    member->timer = shard_.call_every(member->device.interval, [this, one] { report(*one); });
    members_.push_back(std::move(member));
  }
  past_timer_ =
      shard_.call_after(kPastDelay, [this] { past_timer_ = shard_.call_every(kPastPace, [this] { tell_past(); }); });
}

void DemoSite::tell_past() {
  Member& member = *members_[next_teller_];
  next_teller_ = (next_teller_ + 1) % members_.size();
  // The readings of the moment go first, and what is under way stays little.
  if (!member.sender->connected() || member.sender->waiting() > 1) {
    told_ = 0;
    return;
  }
  std::string text;
  while (!member.past.empty() && text.empty()) {
    const std::size_t count = std::min(member.past.size(), kPastReadings);
    for (const Time time : std::span(member.past).last(count)) {
      const std::string one = payload(member.device, time);
      if (one.empty()) continue;
      text += text.empty() ? '[' : ',';
      text += one;
    }
    member.past.resize(member.past.size() - count);
  }
  if (!text.empty()) {
    told_ = 0;
    member.sender->publish("v1/devices/" + member.device.device.device + "/telemetry", text + ']');
  } else if (member.sender->waiting() == 0 && ++told_ == members_.size()) {
    past_timer_.cancel();
    past_.told();
  }
}

void DemoSite::report(Member& member) {
  const std::string text = payload(member.device, wall_now(), member.controls);
  if (!text.empty()) member.sender->publish("v1/devices/" + member.device.device.device + "/telemetry", text);
}

void DemoSite::tell(Member& member, std::string_view message) {
  auto told = read_command(message);
  if (!told) return log::warn(unreadable_throttle, "the demo cannot read a command", {{"error", told.error()}});
  const auto known = std::ranges::find(member.answered, told->id, &std::pair<std::string, std::string>::first);
  if (known != member.answered.end()) return send_answer(member, known->first, known->second);
  if (std::ranges::find(member.told, told->id, &Told::id) != member.told.end()) return;
  member.told.push_back(*std::move(told));
  if (member.told.size() == 1) begin(member);
}

void DemoSite::begin(Member& member) {
  const Time now = wall_now();
  while (!member.told.empty() && member.told.front().expires <= now) member.told.pop_front();
  if (member.told.empty()) return;
  Outcome outcome =
      carry_out(member.device, member.controls, member.told.front().name, member.told.front().payload, now);
  const Duration takes = outcome.takes;
  member.work = shard_.call_after(
      takes, [this, &member, outcome = std::move(outcome)]() mutable { finish(member, std::move(outcome)); });
}

void DemoSite::finish(Member& member, Outcome outcome) {
  const std::string id = std::move(member.told.front().id);
  member.told.pop_front();
  member.controls = outcome.controls;
  member.answered.emplace_back(id, answer(outcome));
  if (member.answered.size() > kAnswersKept) member.answered.pop_front();
  send_answer(member, id, member.answered.back().second);
  report(member);
  begin(member);
}

void DemoSite::send_answer(Member& member, const std::string& id, const std::string& text) {
  member.sender->publish("v1/devices/" + member.device.device.device + "/commands/" + id + "/response", text);
}

void DemoSite::stop() {
  running_ = false;
  past_timer_.cancel();
  for (const auto& member : members_) {
    member->timer.cancel();
    member->work.cancel();
    member->sender->stop();
  }
  members_.clear();
}

}  // namespace flux::edge::demo
