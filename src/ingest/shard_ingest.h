#pragma once

#include <deque>
#include <memory>
#include <string>

#include "auth/device_auth.h"
#include "ingest/config.h"
#include "ingest/dead_letters.h"
#include "ingest/outbox.h"
#include "ingest/telemetry.h"
#include "runtime/shard.h"

namespace flux::ingest {

/// What ingest keeps on one shard, for all protocols.
struct ShardIngest {
  ShardIngest(runtime::Shard& on, bus::Bus& bus, Admission& admission, const auth::DeviceAuthenticator& authenticator,
              const Config& config, Metrics& metrics, LogTrouble& trouble)
      : shard(on),
        outbox(std::make_shared<Outbox>(on, bus.producer(), bus.partition_count(), config.outbox, metrics, trouble)),
        intake(*outbox, admission, config.limits),
        credentials(authenticator),
        dead_letters(on.index(), bus.producer(), bus.partition_count(), config.dead_letters, metrics) {}

  runtime::Shard& shard;
  std::shared_ptr<Outbox> outbox;
  TelemetryIntake intake;
  auth::DeviceAuthCache credentials;  ///< of HTTP requests
  DeadLetters dead_letters;           ///< of messages whose senders cannot be told
  std::deque<std::string> shown;      ///< `peer device` whose connection by HTTP a watcher was told of
};

}  // namespace flux::ingest
