#pragma once

#include <cstdint>
#include <string>

#include "broker/config.h"
#include "config/bytes.h"
#include "core/time.h"

namespace flux::ingest {

/// How readings are gathered into batches for the log.
struct OutboxConfig {
  config::Bytes batch_bytes = 1_MiB;
  Duration spacing = 1_ms;
  config::Bytes pending_bytes = 32_MiB;
  config::Bytes log_queue_bytes = 128_MiB;
  Duration retry_time = 2_s;

  template <class Fields>
  void describe(Fields& fields) {
    fields("batch_bytes", batch_bytes, "A batch of this size goes to the log at once.", {.min = 4_KiB, .max = 64_MiB});
    fields("spacing", spacing,
           "Least time between two batches of one core for one partition; the first after a pause goes at once. More "
           "gathers larger batches, which cost less, and answers later.",
           {.min = 0_ms, .max = 1_s});
    fields("pending_bytes", pending_bytes,
           "Readings of one core that are not yet durable; beyond it connections are read no further and HTTP answers "
           "429.",
           {.min = 1_MiB});
    fields("log_queue_bytes", log_queue_bytes, "The same for all that waits in the log.", {.min = 1_MiB});
    fields("retry_time", retry_time,
           "How long a batch that the log could not take (full queue, full disk) is tried again before its senders are "
           "told.",
           {.min = 0_ms, .max = 60_s});
  }
};

/// What one message may hold.
struct LimitsConfig {
  std::uint32_t readings_per_message = 100'000;
  std::uint32_t metrics_per_reading = 1'024;
  config::Bytes string_bytes = 16_KiB;
  std::uint32_t devices = 2'000'000;
  std::uint32_t devices_per_tenant = 1'000'000;
  std::uint32_t new_devices_per_second = 1'000;
  std::uint32_t new_devices_burst = 10'000;
  std::uint32_t cached_devices = 100'000;

  template <class Fields>
  void describe(Fields& fields) {
    fields("readings_per_message", readings_per_message, "Reading objects in one message.",
           {.min = 1, .max = 1'000'000});
    fields("metrics_per_reading", metrics_per_reading, "Values in one reading object.", {.min = 1, .max = 65'536});
    fields("string_bytes", string_bytes, "One text value.", {.min = 1, .max = 1_MiB});
    fields("devices", devices, "Devices of all tenants; credentials that may create devices create no more beyond it.",
           {.min = 1});
    fields("devices_per_tenant", devices_per_tenant, "The same for one tenant, so that none takes all.", {.min = 1});
    fields("new_devices_per_second", new_devices_per_second,
           "Devices that one credential may create by reporting for them, in the long run.", {.min = 1});
    fields("new_devices_burst", new_devices_burst, "The same at once, after a pause.", {.min = 1});
    fields("cached_devices", cached_devices, "Devices whose shapes one core keeps at hand.", {.min = 100});
  }
};

/// Dead letters of messages whose senders cannot be told that they were refused (MQTT 3.1.1 and QoS 0).
struct DeadLettersConfig {
  std::uint32_t device_per_minute = 10;
  std::uint32_t device_burst = 20;
  std::uint32_t tenant_per_minute = 300;
  std::uint32_t tenant_burst = 600;

  template <class Fields>
  void describe(Fields& fields) {
    fields("device_per_minute", device_per_minute,
           "Dead letters of refused MQTT messages that a device gets on one core, in the long run. Those beyond are "
           "counted and left out.");
    fields("device_burst", device_burst, "The same at once, after a pause; 0: none at all.");
    fields("tenant_per_minute", tenant_per_minute, "The same for all devices of a tenant, in the long run.");
    fields("tenant_burst", tenant_burst, "The same at once, after a pause.");
  }
};

struct MqttConfig {
  bool enabled = true;
  std::string host = "0.0.0.0";
  std::uint16_t port = 1883;
  config::Bytes packet_bytes = 1_MiB;
  config::Bytes unfinished_bytes = 128_MiB;
  config::Bytes unfinished_bytes_per_address = 64_MiB;
  Duration connect_timeout = 10_s;
  Duration keep_alive_max = 30_min;
  std::uint16_t receive_maximum = 1'000;
  std::uint16_t topic_aliases = 32;
  std::uint16_t subscriptions = 100;
  std::uint32_t connections = 100'000;
  std::uint32_t connections_per_address = 10'000;
  broker::Config broker;

  template <class Fields>
  void describe(Fields& fields) {
    fields("enabled", enabled, "Whether devices are served by MQTT.");
    fields("host", host, "Address that the MQTT port is bound to.");
    fields("port", port, "MQTT port; 0 takes a free one.");
    fields("packet_bytes", packet_bytes, "Largest packet that a device may send.", {.min = 1_KiB, .max = 64_MiB});
    fields(
        "unfinished_bytes", unfinished_bytes,
        "What all connections hold of packets that are not yet whole; beyond it they are ended (MQTT 5: server busy).",
        {.min = 1_MiB});
    fields("unfinished_bytes_per_address", unfinished_bytes_per_address,
           "The same from one IP address (MQTT 5: quota exceeded); loopback is exempt.", {.min = 1_MiB});
    fields("connect_timeout", connect_timeout, "Time from the connection to a complete CONNECT.",
           {.min = 100_ms, .max = 5_min});
    fields(
        "keep_alive_max", keep_alive_max,
        "Longest keep alive time: MQTT 5 devices that ask for more or none are told to use this; for older ones it is "
        "applied as if they had asked for it.",
        {.min = 1_s, .max = 18_h});
    fields("receive_maximum", receive_maximum,
           "Messages of QoS 1 and 2 of one connection that wait for their acknowledgement.", {.min = 1});
    fields("topic_aliases", topic_aliases, "Topic aliases that a MQTT 5 device may set.");
    fields("subscriptions", subscriptions, "Topic filters of one connection.");
    fields("connections", connections, "Open MQTT connections.", {.min = 1});
    fields("connections_per_address", connections_per_address, "The same from one IP address; loopback is exempt.",
           {.min = 1});
    fields.group("broker", broker);
  }
};

struct HttpConfig {
  config::Bytes body_bytes = 8_MiB;

  template <class Fields>
  void describe(Fields& fields) {
    fields("body_bytes", body_bytes, "Largest body of POST /api/v1/telemetry, decompressed.",
           {.min = 1_KiB, .max = 256_MiB});
  }
};

/// InfluxDB's line protocol.
struct LineConfig {
  config::Bytes body_bytes = 32_MiB;
  bool create_databases = true;
  std::uint32_t cached_series = 50'000;
  std::uint32_t fields_per_line = 4'096;

  template <class Fields>
  void describe(Fields& fields) {
    fields("body_bytes", body_bytes, "Largest body of /write and /api/v2/write, decompressed.",
           {.min = 1_KiB, .max = 256_MiB});
    fields("create_databases", create_databases,
           "Whether a write to a database that is not there makes it, where the credential may create devices; "
           "otherwise the answer is 404.");
    fields("cached_series", cached_series, "Series of one database that one core keeps at hand.", {.min = 100});
    fields("fields_per_line", fields_per_line, "Fields in one line.", {.min = 1, .max = 65'536});
  }
};

struct Config {
  OutboxConfig outbox;
  LimitsConfig limits;
  MqttConfig mqtt;
  HttpConfig http;
  LineConfig line;
  DeadLettersConfig dead_letters;

  template <class Fields>
  void describe(Fields& fields) {
    fields.group("outbox", outbox);
    fields.group("limits", limits);
    fields.group("mqtt", mqtt);
    fields.group("http", http);
    fields.group("line", line);
    fields.group("dead_letters", dead_letters);
  }
};

}  // namespace flux::ingest
