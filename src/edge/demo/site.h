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
std::vector<SiteReading> report(const SiteDevice& device, Time time);

}  // namespace flux::edge::demo
