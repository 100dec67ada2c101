#include "ingest/ingest.h"

#include "runtime/completion.h"
#include "runtime/spawn.h"

namespace flux::ingest {
namespace {

constexpr Duration kDrainTime = 8_s;

Async<void> flush_on_shard(Outbox* outbox, runtime::Completion<> done) {
  auto result = co_await outbox->flush();
  done.resolve(std::move(result));
  co_return {};
}

}  // namespace

IngestService::IngestService(Config config, Needs needs)
    : config_(std::move(config)),
      needs_(std::move(needs)),
      metrics_(needs_.metrics),
      admission_(needs_.directory, config_.limits, needs_.clock),
      sign_in_(needs_.authenticator, needs_.directory, needs_.connection_log, metrics_, needs_.clock),
      http_(shards_, config_.http, metrics_, sign_in_, needs_.connection_log, needs_.users) {
  for (auto& shard : needs_.shards) {
    shards_.push_back(std::make_unique<ShardIngest>(*shard, needs_.bus, admission_, needs_.authenticator, config_,
                                                    metrics_, trouble_));
  }
  line_ = std::make_unique<line::LineEndpoint>(line::LineEndpoint::Needs{shards_, admission_, needs_.directory,
                                                                         needs_.databases, config_, metrics_, sign_in_,
                                                                         needs_.connection_log, needs_.users});
}

IngestService::~IngestService() = default;

void IngestService::mount(const net::Router::Group& api, const net::Router::Group& root) {
  http_.mount(api);
  line_->mount(root);
}

std::optional<net::Address> IngestService::mqtt_address() const {
  if (!mqtt_) return std::nullopt;
  return mqtt_->address();
}

Async<void> IngestService::start() {
  if (!config_.mqtt.enabled) co_return {};
  // Kept even when it cannot listen: a server is destroyed off the shards, with this service.
  mqtt_ = std::make_unique<mqtt::Endpoint>(
      mqtt::Endpoint::Needs{needs_.shards, shards_, needs_.bus, needs_.metrics, metrics_, needs_.authenticator,
                            sign_in_, needs_.connection_log, needs_.commands, needs_.version},
      config_.mqtt);
  unfinished_ = needs_.metrics.callback_gauge(
      "fluxgate_ingest_mqtt_unfinished_bytes",
      "What MQTT connections hold of packets that are not yet whole, of ingest.mqtt.unfinished_bytes.", {},
      [this] { return static_cast<double>(mqtt_->unfinished_bytes()); });
  co_return co_await mqtt_->start();
}

Async<void> IngestService::drain() {
  Result<> outcome;
  if (mqtt_) outcome = co_await mqtt_->drain(kDrainTime);
  for (auto& shard : shards_) {
    runtime::Completion<> done;
    auto flush = flush_on_shard(shard->outbox.get(), done);
    runtime::spawn(shard->shard, std::move(flush), "outbox flush");
    auto flushed = co_await done;
    if (!flushed && outcome) outcome = std::move(flushed);
  }
  co_return outcome;
}

Async<void> IngestService::stop() {
  if (mqtt_) CO_DO(co_await mqtt_->close());
  for (auto& shard : shards_) {
    runtime::Completion<> done;
    shard->shard.post([outbox = shard->outbox, done] {
      outbox->close();
      done.resolve({});
    });
    CO_DO(co_await done);
  }
  co_return {};
}

}  // namespace flux::ingest
