#pragma once

#include <cstdint>

#include "config/bytes.h"
#include "core/time.h"

namespace flux::broker {

struct Config {
  Duration session_expiry_max = 7_s * 86'400;
  std::uint32_t sessions = 1'000'000;
  std::uint32_t queue_messages = 10'000;
  config::Bytes queue_bytes = 8_MiB;
  std::uint16_t in_flight = 1'000;
  std::uint16_t topic_aliases = 16;
  std::uint32_t retained_messages = 1'000'000;
  config::Bytes retained_bytes = 256_MiB;
  Duration sys_interval = 10_s;

  template <class Fields>
  void describe(Fields& fields) {
    fields(
        "session_expiry_max", session_expiry_max,
        "Longest time that the session of a client outlives its connection: MQTT 5 clients that ask for more are told "
        "so, older ones without clean session get it.",
        {.min = 0_s, .max = 3'650_s * 86'400});
    fields("sessions", sessions, "Sessions, of clients that are connected and of those that are expected back.",
           {.min = 1});
    fields("queue_messages", queue_messages,
           "Messages of QoS 1 and 2 that wait for one client; more are dropped and counted.",
           {.min = 1, .max = 60'000});
    fields("queue_bytes", queue_bytes, "The same in bytes.", {.min = 64_KiB, .max = 1_GiB});
    fields("in_flight", in_flight,
           "Messages that one client gets before it must acknowledge; a MQTT 5 client may ask for fewer.", {.min = 1});
    fields("topic_aliases", topic_aliases, "Topic aliases set towards a MQTT 5 client that takes them.");
    fields("retained_messages", retained_messages, "Topics that keep a retained message.", {.min = 1});
    fields("retained_bytes", retained_bytes, "The same in bytes.", {.min = 1_MiB});
    fields("sys_interval", sys_interval, "How often what changed under $SYS/ is published; 0 never.",
           {.min = 0_ms, .max = 1_h});
  }
};

}  // namespace flux::broker
