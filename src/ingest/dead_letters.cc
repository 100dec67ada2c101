#include "ingest/dead_letters.h"

#include <algorithm>
#include <atomic>

#include "ingest/sign_in.h"
#include "observe/json.h"
#include "observe/log.h"

namespace flux::ingest {
namespace {

constexpr std::size_t kDevicesWatched = 4096;
constexpr std::size_t kBytesUnderWay = 256 << 10;  // letters that the log has not answered yet
constexpr std::size_t kTopicBytes = 256;
constexpr std::size_t kPayloadBytes = 480;

log::Throttle not_written(10_s);

/// The beginning, not cut inside a character, with an ellipsis where it is cut.
std::string beginning(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return without_secrets(text);
  std::size_t size = limit;
  while (size > 0 && limit - size < 3 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return without_secrets(text.substr(0, size)) + "…";
}

void refill(double& left, Duration& at, Duration now, std::uint32_t per_minute, std::uint32_t burst) {
  left = std::min<double>(burst, left + (now - at).seconds() / 60 * per_minute);
  at = now;
}

}  // namespace

// Outlives the shard's ingest: the log may answer after it.
struct DeadLetters::UnderWay {
  std::atomic<std::size_t> bytes = 0;
  std::atomic<std::uint64_t> failed = 0;
};

DeadLetters::DeadLetters(std::size_t shard, bus::Producer& producer, std::size_t partitions,
                         const DeadLettersConfig& config, Metrics& metrics)
    : producer_(producer),
      partitions_(partitions),
      config_(config),
      metrics_(metrics),
      // The time of the start tells runs apart.
      id_prefix_("m" + std::to_string(shard) + "-" + std::to_string(wall_now().ns) + "-"),
      under_way_(std::make_shared<UnderWay>()) {}

/// The device's budget, with a letter taken from it and from the tenant's; null when either has none left.
DeadLetters::Budget* DeadLetters::budget_of(const Refused& refused, Duration now) {
  if (devices_.size() >= kDevicesWatched) {
    // What has refilled is as good as new. When nothing has, the tenants' budgets hold.
    boost::unordered::erase_if(devices_, [&](const auto& item) {
      return item.second.left + (now - item.second.at).seconds() / 60 * config_.device_per_minute >=
             config_.device_burst;
    });
    if (devices_.size() >= kDevicesWatched) devices_.clear();
  }
  key_.assign(std::to_string(refused.tenant.value));
  key_ += refused.device.empty() ? '/' : ' ';
  key_ += refused.device.empty() ? refused.client : refused.device;
  const auto [device, fresh] = devices_.try_emplace(key_);
  if (fresh) device->second = {.left = static_cast<double>(config_.device_burst), .at = now};
  const auto [tenant, fresh_tenant] = tenants_.try_emplace(refused.tenant.value);
  if (fresh_tenant) tenant->second = {.left = static_cast<double>(config_.tenant_burst), .at = now};
  Budget& own = device->second;
  Budget& all = tenant->second;
  refill(own.left, own.at, now, config_.device_per_minute, config_.device_burst);
  refill(all.left, all.at, now, config_.tenant_per_minute, config_.tenant_burst);
  if (own.left < 1 || all.left < 1 || under_way_->bytes.load(std::memory_order_relaxed) > kBytesUnderWay) {
    ++own.left_out;
    return nullptr;
  }
  own.left -= 1;
  all.left -= 1;
  return &own;
}

std::string DeadLetters::letter(const Refused& refused, std::uint64_t left_out) {
  const auto text = [](std::string& out, std::string_view name, std::string_view value) {
    out += ",\"";
    out += name;
    out += "\":";
    observe::append_json_string(out, value);
  };
  std::string json = "{\"tenant\":" + std::to_string(refused.tenant.value);
  text(json, "id", id_prefix_ + std::to_string(next_id_++));
  json += ",\"time\":null";
  text(json, "received_at", to_rfc3339(refused.received_at));
  if (refused.device.empty()) json += ",\"device\":null";
  else text(json, "device", refused.device);
  json += ",\"metric\":null,\"value\":null";
  text(json, "reason", refused.reason);
  std::string message = without_secrets(refused.message);
  if (left_out > 0) message += " (and " + std::to_string(left_out) + " more before it that have no dead letter)";
  text(json, "message", message);
  json += ",\"source\":null";
  text(json, "client", without_secrets(refused.client));
  text(json, "topic", beginning(refused.topic, kTopicBytes));
  text(json, "payload", beginning(refused.payload, kPayloadBytes));
  json += ",\"payload_bytes\":" + std::to_string(refused.payload.size()) + "}";
  return json;
}

void DeadLetters::add(const Refused& refused, Duration now) {
  if (const std::uint64_t failed = under_way_->failed.exchange(0, std::memory_order_relaxed); failed > 0)
    metrics_.dead_letters_left_out.add(failed);
  Budget* const budget = budget_of(refused, now);
  if (budget == nullptr) return metrics_.dead_letters_left_out.add();
  metrics_.dead_letters.add();
  bus::Record record;
  record.kind = bus::RecordKind::event;
  record.payload = std::make_shared<const std::string>(letter(refused, std::exchange(budget->left_out, 0)));
  const std::size_t bytes = record.payload->size();
  under_way_->bytes.fetch_add(bytes, std::memory_order_relaxed);
  producer_.publish(bus::Topic::dead_letters, partition_of(bucket_of(refused.tenant, refused.device), partitions_),
                    std::move(record), [state = under_way_, bytes](const Result<Offset>& result) {
                      state->bytes.fetch_sub(bytes, std::memory_order_relaxed);
                      if (result) return;
                      state->failed.fetch_add(1, std::memory_order_relaxed);
                      log::warn(not_written, "a dead letter of a refused message was not written",
                                {{"reason", result.error()}});
                    });
}

}  // namespace flux::ingest
