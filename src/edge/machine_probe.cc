#include "edge/machine_probe.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace flux::edge {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Whole disks only: partitions and stacked devices would count the same bytes again.
bool is_disk(const fs::path& sys, const std::string& name) {
  std::error_code error;
  if (name.starts_with("loop") || name.starts_with("ram") || name.starts_with("dm-") || name.starts_with("md") ||
      name.starts_with("zram"))
    return false;
  return fs::exists(sys / "block" / name, error);
}

/// The double next to a decimal with one digit, which is then written with one.
double to_tenths(double value) { return std::round(value * 10) / 10; }

}  // namespace

const std::vector<MachineMetric>& machine_metrics() {
  static const std::vector<MachineMetric> metrics{
      {"cpu", "%"},          {"load", ""},           {"memory", "%"},       {"memory_used", "B"},
      {"disk", "%"},         {"disk_free", "B"},     {"disk_read", "B/s"},  {"disk_write", "B/s"},
      {"network_in", "B/s"}, {"network_out", "B/s"}, {"temperature", "°C"},
  };
  return metrics;
}

MachineProbe::MachineProbe(fs::path disk, fs::path proc, fs::path sys)
    : disk_(std::move(disk)), proc_(std::move(proc)), sys_(std::move(sys)) {}

MachineProbe::Totals MachineProbe::read_totals() const {
  Totals totals;
  std::istringstream stat(contents(proc_ / "stat"));
  std::string word;
  stat >> word;  // "cpu": user nice system idle iowait irq softirq steal
  double field = 0;
  for (int i = 0; i < 8 && stat >> field; ++i) {
    totals.cpu_all += field;
    if (i != 3 && i != 4) totals.cpu_busy += field;
  }

  std::istringstream interfaces(contents(proc_ / "net" / "dev"));
  for (std::string line; std::getline(interfaces, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(' ');
    if (line.substr(begin, colon - begin) == "lo") continue;
    std::istringstream fields(line.substr(colon + 1));
    double values[9]{};
    for (double& value : values) fields >> value;
    totals.network_in = totals.network_in.value_or(0) + values[0];
    totals.network_out = totals.network_out.value_or(0) + values[8];
  }

  std::istringstream disks(contents(proc_ / "diskstats"));
  for (std::string line; std::getline(disks, line);) {
    std::istringstream fields(line);
    std::string major, minor, name;
    double reads = 0, merged = 0, sectors_read = 0, read_ms = 0, writes = 0, writes_merged = 0, sectors_written = 0;
    fields >> major >> minor >> name >> reads >> merged >> sectors_read >> read_ms >> writes >> writes_merged >>
        sectors_written;
    if (!fields || !is_disk(sys_, name)) continue;
    constexpr double kSector = 512;  // diskstats counts in these whatever the disk's own sector is
    totals.disk_read = totals.disk_read.value_or(0) + sectors_read * kSector;
    totals.disk_write = totals.disk_write.value_or(0) + sectors_written * kSector;
  }
  return totals;
}

std::optional<double> MachineProbe::read_temperature() const {
  std::optional<double> hottest;
  std::error_code error;
  for (const auto& zone : fs::directory_iterator(sys_ / "class" / "thermal", error)) {
    if (!zone.path().filename().string().starts_with("thermal_zone")) continue;
    std::istringstream text(contents(zone.path() / "temp"));
    double milli = 0;
    if (text >> milli) hottest = std::max(hottest.value_or(milli / 1000), milli / 1000);
  }
  return hottest;
}

std::vector<MachineReading> MachineProbe::read(Duration now) {
  std::vector<MachineReading> readings;
  // As fine as it means something: people read these, and each digit is stored.
  const auto add_share = [&](std::string_view name, double part, double whole) {
    readings.push_back({name, to_tenths(100 * part / whole)});
  };
  const auto add_bytes = [&](std::string_view name, double value) { readings.push_back({name, std::round(value)}); };
  const Totals totals = read_totals();
  const double seconds = (now - before_at_).seconds();
  if (before_ && seconds > 0) {
    if (totals.cpu_all > before_->cpu_all)
      add_share("cpu", totals.cpu_busy - before_->cpu_busy, totals.cpu_all - before_->cpu_all);
    const auto rate = [&](std::string_view name, const std::optional<double>& after,
                          const std::optional<double>& before) {
      // A counter that went back belongs to an interface or disk that came or went.
      if (after && before && *after >= *before) add_bytes(name, (*after - *before) / seconds);
    };
    rate("disk_read", totals.disk_read, before_->disk_read);
    rate("disk_write", totals.disk_write, before_->disk_write);
    rate("network_in", totals.network_in, before_->network_in);
    rate("network_out", totals.network_out, before_->network_out);
  }
  before_ = totals;
  before_at_ = now;

  std::istringstream load(contents(proc_ / "loadavg"));
  if (double one = 0; load >> one) readings.push_back({"load", one});

  std::istringstream memory(contents(proc_ / "meminfo"));
  double total = 0;
  double available = 0;
  for (std::string key, unit; memory >> key;) {
    double value = 0;
    memory >> value;
    std::getline(memory, unit);
    if (key == "MemTotal:") total = value * 1024;
    if (key == "MemAvailable:") available = value * 1024;
  }
  if (total > 0) {
    add_share("memory", total - available, total);
    add_bytes("memory_used", total - available);
  }

  struct statvfs disk{};
  if (statvfs(disk_.c_str(), &disk) == 0 && disk.f_blocks > 0) {
    const auto unit = static_cast<double>(disk.f_frsize);
    const double all = static_cast<double>(disk.f_blocks) * unit;
    add_share("disk", all - static_cast<double>(disk.f_bfree) * unit, all);
    add_bytes("disk_free", static_cast<double>(disk.f_bavail) * unit);
  }
  if (const auto temperature = read_temperature()) readings.push_back({"temperature", to_tenths(*temperature)});
  return readings;
}

}  // namespace flux::edge
