#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "registry/registry.h"

/// A believable site for trying things out: a cold chain, a pump station, air quality, solar inverters and a fleet.
namespace flux::edge::demo {

enum Kind : int { cold_room, pump, air, inverter, truck, kind_count };

/// What people have set on a device by commands. It forgets when it starts anew.
struct Controls {
  std::optional<bool> running;   ///< pump: rather than by demand
  std::optional<double> speed;   ///< pump, rpm
  std::optional<double> target;  ///< cold room, °C, reached slowly from `target_before` on
  double target_before = 0;
  Time target_set;
  std::optional<double> limit;  ///< inverter, kW
  bool calibrated = false;      ///< air: its CO2 sensor's drift is gone
};

struct SiteReading {
  std::string_view metric;
  Value value;
};

/// One simulated device: what it is, and how its readings go.
struct SiteDevice {
  registry::NewDevice device;
  Duration interval;  ///< between two reports
  int kind = 0;
  int number = 0;  ///< within its kind
};

/// The five profiles and the 50 devices; the same ones each time.
std::vector<registry::Profile> profiles();
std::vector<SiteDevice> devices();

/// What `device` reports at `time`: daily cycles, noise, and faults now and then. A function of its arguments alone, so
/// that the past of the site can be told as well as its present. Empty while the device is out of order (it is then
/// silent for some minutes).
std::vector<SiteReading> report(const SiteDevice& device, Time time, const Controls& controls = {});

/// The cold room's target where nobody has set one.
double usual_target(const SiteDevice& device);

}  // namespace flux::edge::demo
