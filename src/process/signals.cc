#include "process/signals.h"

#include "observe/json.h"

namespace flux::process {
namespace {

using observe::append_json_string;

void append_time(std::string& out, Time time) {
  char text[40];
  out += '"';
  out.append(text, format_rfc3339(time, text));
  out += '"';
}

}  // namespace

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::out_of_range: return "out_of_range";
    case Reason::non_finite: return "non_finite";
    case Reason::clock_skew: return "clock_skew";
    case Reason::too_old: return "too_old";
    case Reason::too_large: return "too_large";
    case Reason::corrupt_record: return "corrupt_record";
    case Reason::device_removed: return "device_removed";
  }
  return "?";
}

std::string_view to_string(EventType type) {
  switch (type) {
    case EventType::device_discovered: return "device_discovered";
    case EventType::metric_discovered: return "metric_discovered";
    case EventType::device_silent: return "device_silent";
    case EventType::device_online: return "device_online";
  }
  return "?";
}

void Signals::begin(Position input, std::uint32_t max_dead_letters) {
  input_ = input;
  max_dead_letters_ = max_dead_letters;
  dead_letters_ = 0;
  beyond_ = 0;
  refused_.fill(0);
  signals_.clear();
}

void Signals::refuse(const DeviceState& device, Time event, Time received_at, std::string_view metric,
                     std::string_view value_json, Reason reason, std::string_view message) {
  ++refused_[static_cast<std::size_t>(reason)];
  dead_letter(device.tenant, device.id, event, received_at, metric, value_json, to_string(reason), message);
}

void Signals::refuse_row(const DeviceState& device, Time event, Time received_at, std::size_t readings, Reason reason,
                         std::string_view message) {
  refused_[static_cast<std::size_t>(reason)] += readings;
  dead_letter(device.tenant, device.id, event, received_at, std::nullopt, "null", to_string(reason), message);
}

void Signals::refuse_record(Reason reason, std::string_view message) {
  ++refused_[static_cast<std::size_t>(reason)];
  dead_letter({}, {}, std::nullopt, {}, std::nullopt, "null", to_string(reason), message);
}

std::string Signals::open(TenantId tenant) const {
  std::string json;
  json.reserve(320);
  json += "{\"tenant\":";
  json += std::to_string(tenant.value);
  json += ",\"id\":\"";
  json += std::to_string(input_.partition.value);
  json += '-';
  json += std::to_string(input_.offset.value);
  json += '-';
  json += std::to_string(signals_.size());
  json += '"';
  return json;
}

void Signals::add(bus::Topic topic, TenantId tenant, std::string_view device, std::string json) {
  Signal& signal = signals_.emplace_back();
  signal.topic = topic;
  signal.ordinal = static_cast<std::uint32_t>(signals_.size() - 1);
  signal.tenant = tenant;
  signal.device = device;
  signal.json = std::make_shared<const std::string>(std::move(json));
}

void Signals::dead_letter(TenantId tenant, std::string_view device, std::optional<Time> event, Time received_at,
                          std::optional<std::string_view> metric, std::string_view value_json, std::string_view reason,
                          std::string_view message) {
  if (dead_letters_ >= max_dead_letters_) {
    ++beyond_;
    last_beyond_.tenant = tenant;
    last_beyond_.device = device;
    last_received_at_ = received_at;
    return;
  }
  ++dead_letters_;
  std::string json = open(tenant);
  json += ",\"time\":";
  if (event) append_time(json, *event);
  else json += "null";
  json += ",\"received_at\":";
  append_time(json, received_at);
  json += ",\"device\":";
  append_json_string(json, device);
  json += ",\"metric\":";
  if (metric) append_json_string(json, *metric);
  else json += "null";
  json += ",\"value\":";
  json += value_json;
  json += ",\"reason\":\"";
  json += reason;
  json += "\",\"message\":";
  append_json_string(json, message);
  json += ",\"source\":{\"partition\":";
  json += std::to_string(input_.partition.value);
  json += ",\"offset\":";
  json += std::to_string(input_.offset.value);
  json += "}}";
  add(bus::Topic::dead_letters, tenant, device, std::move(json));
}

void Signals::event(EventType type, const DeviceStatePtr& device, Time at, std::string_view message,
                    std::string_view details, KnownMetrics metrics) {
  std::string json = open(device->tenant);
  json += ",\"time\":";
  append_time(json, at);
  json += ",\"device\":";
  append_json_string(json, device->id);
  json += ",\"type\":\"";
  json += to_string(type);
  json += "\",\"message\":";
  append_json_string(json, message);
  json += ",\"details\":";
  json += details;
  json += '}';
  add(bus::Topic::device_events, device->tenant, device->id, std::move(json));
  signals_.back().event = type;
  signals_.back().state = device;
  signals_.back().metrics = std::move(metrics);
}

void Signals::end() {
  if (beyond_ == 0) return;
  const std::uint64_t count = std::exchange(beyond_, 0);
  ++max_dead_letters_;
  dead_letter(last_beyond_.tenant, last_beyond_.device, std::nullopt, last_received_at_, std::nullopt, "null",
              "too_many", std::to_string(count) + " more of this record were refused and are only counted");
}

}  // namespace flux::process
