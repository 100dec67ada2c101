#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bus/bus.h"
#include "core/ids.h"
#include "core/time.h"
#include "ingest/config.h"
#include "ingest/metrics.h"

namespace flux::ingest {

/// Messages that were refused before they came to the log, where the protocol has no word for it (MQTT 3.1.1, QoS 0):
/// each gets a dead letter that says what came and why it was not taken. One per shard; that shard's thread only.
///
/// They lie in the topic of processing's dead letters, without an origin: nothing in the log brought them about, so no
/// replay makes them again and no recovery looks for them. What a device sends again it is told again.
///
/// A flood is not written down. Each device (or client, where no device is known) and each tenant has so many letters a
/// minute; the others are counted, and the next letter of the device says how many they were. Nor are letters kept for
/// a log that does not take them: readings come first.
///
/// ```
/// {"tenant":1,"id":"m0-1764560000000000000-3","time":null,"received_at":"…","device":"pump-1","metric":null,
///  "value":null,"reason":"invalid_payload","message":"…","source":null,"client":"c","topic":"v1/telemetry",
///  "payload":"{\"a\":","payload_bytes":5}
/// ```
class DeadLetters {
 public:
  struct Refused {
    TenantId tenant;
    std::string_view device;  ///< empty: none is known
    std::string_view client;  ///< MQTT client identifier
    std::string_view topic;
    std::string_view payload;
    std::string_view reason;  ///< one word
    std::string_view message;
    Time received_at;
  };

  /// `shard` tells the ids of shards apart.
  DeadLetters(std::size_t shard, bus::Producer& producer, std::size_t partitions, const DeadLettersConfig& config,
              Metrics& metrics);

  /// `now` is monotonic.
  void add(const Refused& refused, Duration now);

 private:
  struct Budget {
    double left = 0;
    Duration at;
    std::uint64_t left_out = 0;
  };
  struct UnderWay;
  Budget* budget_of(const Refused& refused, Duration now);
  [[nodiscard]] std::string letter(const Refused& refused, std::uint64_t left_out);

  bus::Producer& producer_;
  const std::size_t partitions_;
  const DeadLettersConfig config_;
  Metrics& metrics_;
  const std::string id_prefix_;
  std::uint64_t next_id_ = 0;
  boost::unordered_flat_map<std::string, Budget> devices_;  // by tenant and device or client
  boost::unordered_flat_map<std::uint32_t, Budget> tenants_;
  std::string key_;
  std::shared_ptr<UnderWay> under_way_;
};

}  // namespace flux::ingest
