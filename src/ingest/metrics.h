#pragma once

#include "observe/metrics.h"

namespace flux::ingest {

/// One for the process; written from every shard.
struct Metrics {
  explicit Metrics(metrics::Registry& r)
      : readings_mqtt(r.counter("fluxgate_ingest_readings_total", kReadings, {{"protocol", "mqtt"}})),
        readings_http(r.counter("fluxgate_ingest_readings_total", kReadings, {{"protocol", "http"}})),
        readings_line(r.counter("fluxgate_ingest_readings_total", kReadings, {{"protocol", "line"}})),
        messages_mqtt(r.counter("fluxgate_ingest_messages_total", kMessages, {{"protocol", "mqtt"}})),
        messages_http(r.counter("fluxgate_ingest_messages_total", kMessages, {{"protocol", "http"}})),
        messages_line(r.counter("fluxgate_ingest_messages_total", kMessages, {{"protocol", "line"}})),
        refused_values(r.counter("fluxgate_ingest_refused_total", kRefused, {{"reason", "value"}})),
        refused_payload(r.counter("fluxgate_ingest_refused_total", kRefused, {{"reason", "payload"}})),
        refused_topic(r.counter("fluxgate_ingest_refused_total", kRefused, {{"reason", "topic"}})),
        refused_device(r.counter("fluxgate_ingest_refused_total", kRefused, {{"reason", "not_authorized"}})),
        refused_answers(r.counter("fluxgate_ingest_refused_total", kRefused, {{"reason", "answer"}})),
        refused_busy(r.counter("fluxgate_ingest_refused_total", kRefused, {{"reason", "busy"}})),
        dead_letters(r.counter("fluxgate_ingest_dead_letters_total",
                               "Dead letters of refused messages whose senders could not be told.")),
        dead_letters_left_out(r.counter("fluxgate_ingest_dead_letters_left_out_total",
                                        "Such messages without a dead letter: more than ingest.dead_letters allows, or "
                                        "not taken by the log.")),
        sign_in_refused_mqtt(r.counter("fluxgate_ingest_sign_ins_refused_total", kSignIns, {{"protocol", "mqtt"}})),
        sign_in_refused_http(r.counter("fluxgate_ingest_sign_ins_refused_total", kSignIns, {{"protocol", "http"}})),
        sign_in_throttled_mqtt(
            r.counter("fluxgate_ingest_sign_ins_throttled_total", kThrottled, {{"protocol", "mqtt"}})),
        sign_in_throttled_http(
            r.counter("fluxgate_ingest_sign_ins_throttled_total", kThrottled, {{"protocol", "http"}})),
        batches(r.counter("fluxgate_ingest_batches_total", "Batches that became durable in the log.")),
        batch_readings(r.histogram("fluxgate_ingest_batch_readings", "Readings in a batch.",
                                   metrics::Buckets::log_linear(1, 65'536, 1))),
        durable_seconds(r.histogram("fluxgate_ingest_durable_seconds", "From sealing a batch until it was durable.",
                                    metrics::Buckets::seconds())),
        retries(r.counter("fluxgate_ingest_publish_retries_total", "Batches offered to the log again.")),
        failures(r.counter("fluxgate_ingest_publish_failures_total", "Batches that the log did not take in the end.")),
        pauses(r.counter("fluxgate_ingest_pauses_total", "Times that connections were held back by a full outbox.")),
        pending_bytes(r.gauge("fluxgate_ingest_pending_bytes", "Readings taken and not yet durable.")),
        mqtt_connections(r.gauge("fluxgate_ingest_mqtt_connections", "MQTT sessions that are connected.")),
        mqtt_connects(r.counter("fluxgate_ingest_mqtt_connects_total", "CONNECT packets that were accepted.")),
        mqtt_connects_refused(r.counter("fluxgate_ingest_mqtt_connects_refused_total", "CONNECT packets refused.")),
        mqtt_protocol_errors(r.counter("fluxgate_ingest_mqtt_protocol_errors_total",
                                       "MQTT connections ended because of what they sent.")),
        mqtt_timeouts(r.counter("fluxgate_ingest_mqtt_timeouts_total", "MQTT connections ended for their silence.")),
        mqtt_no_room(r.counter("fluxgate_ingest_mqtt_no_room_total",
                               "MQTT connections ended because there was no room for the rest of a packet.")),
        mqtt_takeovers(r.counter("fluxgate_ingest_mqtt_takeovers_total",
                                 "MQTT sessions ended by another of the same client identifier.")),
        mqtt_commands(r.counter("fluxgate_ingest_mqtt_commands_total", "Commands written to MQTT connections.")) {}

  static constexpr const char* kReadings = "Values taken into batches.";
  static constexpr const char* kMessages = "Messages that were read, accepted or not.";
  static constexpr const char* kSignIns = "Credentials that were refused, with the reason said.";
  static constexpr const char* kThrottled =
      "Credentials that were refused after so many that the sender is told to wait.";
  static constexpr const char* kRefused = "Values (or whole messages) refused before acknowledgement.";

  metrics::Counter &readings_mqtt, &readings_http, &readings_line;
  metrics::Counter &messages_mqtt, &messages_http, &messages_line;
  metrics::Counter &refused_values, &refused_payload, &refused_topic, &refused_device, &refused_answers, &refused_busy;
  metrics::Counter &dead_letters, &dead_letters_left_out;
  metrics::Counter &sign_in_refused_mqtt, &sign_in_refused_http, &sign_in_throttled_mqtt, &sign_in_throttled_http;
  metrics::Counter& batches;
  metrics::Histogram &batch_readings, &durable_seconds;
  metrics::Counter &retries, &failures, &pauses;
  metrics::Gauge &pending_bytes, &mqtt_connections;
  metrics::Counter &mqtt_connects, &mqtt_connects_refused, &mqtt_protocol_errors, &mqtt_timeouts, &mqtt_no_room,
      &mqtt_takeovers, &mqtt_commands;
};

}  // namespace flux::ingest
