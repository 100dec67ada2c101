#pragma once

#include "observe/metrics.h"

namespace flux::broker {

/// One for the process; written from every shard.
struct Metrics {
  explicit Metrics(metrics::Registry& r)
      : sessions(r.gauge("fluxgate_broker_sessions", "Sessions, with those whose client is away.")),
        connected(r.gauge("fluxgate_broker_sessions_connected", "Sessions whose client is connected.")),
        subscriptions(r.gauge("fluxgate_broker_subscriptions", "Subscriptions of all sessions.")),
        retained(r.gauge("fluxgate_broker_retained_messages", "Topics that keep a retained message.")),
        published(r.counter("fluxgate_broker_published_total", "Messages published to subscribers or to nobody.")),
        sent(r.counter("fluxgate_broker_sent_total", "Messages written to clients.")),
        dropped_slow(r.counter("fluxgate_broker_dropped_total", kDropped, {{"reason", "slow_reader"}})),
        dropped_full(r.counter("fluxgate_broker_dropped_total", kDropped, {{"reason", "queue_full"}})),
        dropped_large(r.counter("fluxgate_broker_dropped_total", kDropped, {{"reason", "too_large"}})),
        dropped_expired(r.counter("fluxgate_broker_dropped_total", kDropped, {{"reason", "expired"}})),
        dropped_ended(r.counter("fluxgate_broker_dropped_total", kDropped, {{"reason", "session_ended"}})),
        expired_sessions(
            r.counter("fluxgate_broker_sessions_expired_total", "Sessions whose client came back too late.")),
        journal_bytes(r.counter("fluxgate_broker_journal_bytes_total", "Bytes written to keep sessions and messages.")),
        journal_failures(
            r.counter("fluxgate_broker_journal_failures_total", "Writes of these that the log refused at first.")) {}

  static constexpr const char* kDropped = "Messages not delivered to a subscriber.";

  metrics::Gauge &sessions, &connected, &subscriptions, &retained;
  metrics::Counter &published, &sent;
  metrics::Counter &dropped_slow, &dropped_full, &dropped_large, &dropped_expired, &dropped_ended, &expired_sessions;
  metrics::Counter &journal_bytes, &journal_failures;
};

}  // namespace flux::broker
