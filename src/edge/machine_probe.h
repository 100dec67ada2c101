#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"

namespace flux::edge {

/// One value of this machine as it is now.
struct MachineReading {
  std::string_view metric;
  double value = 0;
};

/// What the probe can measure: name and unit, for the profile of the machine's device.
struct MachineMetric {
  std::string_view name;
  std::string_view unit;
};
const std::vector<MachineMetric>& machine_metrics();

/// Reads how this machine is from /proc and /sys: load of CPU, memory, disk and network, and its temperature where
/// there is a sensor; shares and temperatures to a tenth, bytes whole. What a machine does not offer is left out. One
/// thread; a call takes well under a millisecond.
class MachineProbe {
 public:
  /// `disk` is any path on the file system whose fill level is of interest. The roots are for tests.
  explicit MachineProbe(std::filesystem::path disk, std::filesystem::path proc = "/proc",
                        std::filesystem::path sys = "/sys");

  /// Rates are since the call before; the first call therefore gives none.
  std::vector<MachineReading> read(Duration now);

 private:
  struct Totals {
    double cpu_busy = 0;  ///< in ticks, over all cores
    double cpu_all = 0;
    std::optional<double> network_in;  ///< bytes
    std::optional<double> network_out;
    std::optional<double> disk_read;
    std::optional<double> disk_write;
  };
  [[nodiscard]] Totals read_totals() const;
  [[nodiscard]] std::optional<double> read_temperature() const;

  std::filesystem::path disk_;
  std::filesystem::path proc_;
  std::filesystem::path sys_;
  std::optional<Totals> before_;
  Duration before_at_;
};

}  // namespace flux::edge
