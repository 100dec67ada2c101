#pragma once

#include <cstdint>

#include "config/bytes.h"
#include "core/time.h"

namespace flux::control {

/// `control.*`: commands to devices.
struct Config {
  config::Bytes payload_bytes = 64_KiB;
  std::uint32_t targets = 1'000;
  std::uint32_t waiting_per_device = 1'000;
  Duration ttl = 5_min;
  Duration ttl_max = 24_h * 30;
  Duration keep = 24_h * 90;

  template <class Fields>
  void describe(Fields& fields) {
    fields("payload_bytes", payload_bytes, "Largest payload of a command, and largest result of its answer.",
           {.min = 1_KiB, .max = 512_KiB});
    fields("targets", targets, "Devices that one request may send to.", {.min = 1, .max = 100'000});
    fields("waiting_per_device", waiting_per_device, "Commands of one device that are not finished.", {.min = 1});
    fields("ttl", ttl, "How long a command is worth carrying out, where its sender does not say.", {.min = 1_s});
    fields("ttl_max", ttl_max, "The most that a sender may ask for.", {.min = 1_s});
    fields("keep", keep, "How long finished commands stay in the history.", {.min = 1_h});
  }
};

}  // namespace flux::control
