#include "edge/demo/site.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/hash.h"
#include "edge/demo/site_commands.h"

namespace flux::edge::demo {
namespace {

constexpr std::array<std::string_view, kind_count> kProfiles{"cold-room", "pump", "air-quality", "solar-inverter",
                                                             "truck"};
constexpr std::array<int, kind_count> kCounts{10, 10, 10, 10, 10};
constexpr double kDay = 86'400;
constexpr double kZone = 3600;  // the site lies an hour east of Greenwich

/// A number in [0, 1) that depends on nothing but its arguments.
double random01(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  const std::array<std::uint64_t, 3> key{a, b, c};
  return static_cast<double>(hash64(std::as_bytes(std::span(key))) >> 11) * 0x1.0p-53;
}

/// One device at one time, with the tools its curves are made of.
class Moment {
 public:
  Moment(std::uint64_t id, double seconds) : id_(id), seconds_(seconds) {}

  [[nodiscard]] double seconds() const { return seconds_; }
  /// -1 to 1 with that period; every device at its own phase.
  [[nodiscard]] double wave(double period, std::uint64_t salt) const {
    return std::sin(2 * std::numbers::pi * (seconds_ / period + random01(id_, salt, 0)));
  }
  /// 0 to 1: how far the site's day has come.
  [[nodiscard]] double day() const { return std::fmod(seconds_ + kZone, kDay) / kDay; }
  /// -1 to 1: the position of the sun, highest at the site's noon; below 0 it is night.
  [[nodiscard]] double sun() const { return -std::cos(2 * std::numbers::pi * day()); }
  /// How far (0 to 1) something has come that happens every `every` seconds, for `length` of them, from `offset` on.
  [[nodiscard]] std::optional<double> regular(double every, double length, double offset) const {
    const double since = std::fmod(seconds_ + every - std::fmod(offset, every), every);
    if (since >= length) return std::nullopt;
    return since / length;
  }
  /// A smooth walk between -1 and 1 that turns about every `step` seconds.
  [[nodiscard]] double drift(double step, std::uint64_t salt) const {
    const double at = seconds_ / step;
    const auto cell = static_cast<std::int64_t>(std::floor(at));
    const double share = at - std::floor(at);
    const double smooth = share * share * (3 - 2 * share);
    const auto value = [&](std::int64_t k) { return 2 * random01(id_, salt, static_cast<std::uint64_t>(k)) - 1; };
    return value(cell) + (value(cell + 1) - value(cell)) * smooth;
  }
  /// About -1 to 1, different at every report.
  [[nodiscard]] double noise(std::uint64_t salt) const {
    const auto at = static_cast<std::uint64_t>(seconds_ * 10);
    return random01(id_, salt, at) + random01(id_, salt + 1'000'000, at) - 1;
  }
  /// Whether a fault of `length` seconds, that happens in about `share` of all spans of `every` seconds, is on; and how
  /// far it has come (0 to 1).
  [[nodiscard]] std::optional<double> fault(double every, double length, double share, std::uint64_t salt) const {
    const double span = std::floor(seconds_ / every);
    if (random01(id_, salt, static_cast<std::uint64_t>(span)) >= share) return std::nullopt;
    const double start = span * every + random01(id_, salt + 7, static_cast<std::uint64_t>(span)) * (every - length);
    if (seconds_ < start || seconds_ >= start + length) return std::nullopt;
    return (seconds_ - start) / length;
  }
  [[nodiscard]] double own(std::uint64_t salt) const { return random01(id_, salt, 0); }

 private:
  std::uint64_t id_;
  double seconds_;
};

double rounded(double value, double step) { return std::round(value / step) * step; }

double usual_target(const Moment& m) { return m.own(1) < 0.5 ? -18 : 4; }

std::vector<SiteReading> cold_room_report(const Moment& m, int number, const Controls& controls) {
  double target = usual_target(m);
  if (controls.target) {
    const double since = m.seconds() - Duration{controls.target_set.ns}.seconds();
    target = *controls.target + (controls.target_before - *controls.target) * std::exp(-std::max(since, 0.0) / 240);
  }
  // The compressor swings around the target; a door left open warms the room and the humidity rises with it.
  // Deliveries open it as well, every room in turn, and for too short a time to warm it much.
  const auto door = m.fault(3 * 3600, 900, 0.5, 2);
  const auto delivery = m.regular(3600, 240, number * 360);
  const double warmed = (door ? 7 * std::sin(std::numbers::pi * *door) : 0) +
                        (delivery ? 1.2 * std::sin(std::numbers::pi * *delivery) : 0);
  const double temperature = target + 0.8 * m.wave(1500, 3) + 0.15 * m.noise(4) + warmed;
  return {{"temperature", rounded(temperature, 0.01)},
          {"humidity", rounded(std::clamp(62 + 6 * m.drift(7200, 5) + 2 * warmed + m.noise(6), 0.0, 100.0), 0.1)},
          {"door_open", (door && *door < 0.6) || delivery},
          {"compressor", m.wave(1500, 3) > -0.2 || warmed > 1}};
}

std::vector<SiteReading> pump_report(const Moment& m, const Controls& controls) {
  const bool running = controls.running.value_or(m.drift(5400, 1) > -0.55);
  const double usual = 1450;
  const double nominal = controls.speed.value_or(usual);
  const auto worn = m.fault(3 * 3600, 2400, 0.6, 2);  // a bearing that heats up before it is greased
  const double speed = running ? nominal + 40 * m.drift(600, 3) + 4 * m.noise(4) : 0;
  const double flow = running ? (42 + 5 * m.drift(1800, 5) + 0.4 * m.noise(6)) * nominal / usual : 0;
  return {
      {"running", running},
      {"speed", rounded(speed, 0.1)},
      {"flow", rounded(flow, 0.01)},
      {"pressure", rounded(running ? 5.2 + 0.5 * m.drift(1800, 7) + 0.03 * m.noise(8) : 1.1, 0.001)},
      {"temperature",
       rounded(24 + 6 * m.sun() + (running ? 21 : 0) + (worn ? 35 * *worn : 0) + 0.2 * m.noise(9), 0.01)},
      {"vibration",
       rounded(running ? 1.4 + 0.3 * m.drift(3000, 10) + (worn ? 6 * *worn : 0) + 0.15 * std::abs(m.noise(11)) : 0.05,
               0.001)},
      {"mode", std::string(worn && *worn > 0.5                  ? "warning"
                           : controls.running || controls.speed ? "manual"
                           : running                            ? "auto"
                                                                : "standby")}};
}

std::vector<SiteReading> air_report(const Moment& m, const Controls& controls) {
  const double off = controls.calibrated ? 0 : 25 + 50 * m.own(20);  // how far its sensor has drifted
  const double day = std::max(0.0, m.sun());
  const double people = day * (0.6 + 0.4 * m.drift(3600, 1));
  return {{"co2", rounded(430 + off + 620 * people + 12 * m.noise(2), 1)},
          {"pm25",
           rounded(std::max(0.5, 8 + 6 * m.drift(10800, 3) + (m.fault(12 * 3600, 3600, 0.4, 4) ? 38 : 0) + m.noise(5)),
                   0.1)},
          {"temperature", rounded(21.5 + 1.8 * m.sun() + 0.4 * m.drift(5400, 6) + 0.05 * m.noise(7), 0.01)},
          {"humidity", rounded(44 + 8 * m.drift(20000, 8) + 0.5 * m.noise(9), 0.1)},
          {"noise", rounded(34 + 22 * people + 3 * std::abs(m.noise(10)), 0.1)}};
}

std::vector<SiteReading> inverter_report(const Moment& m, const Controls& controls) {
  const double clouds = 0.75 + 0.25 * m.drift(900, 1);
  const bool tripped = m.fault(24 * 3600, 1800, 0.3, 2).has_value();
  const bool night = m.sun() < 0.001;  // below the horizon, and no rounding of a sine above it
  const double possible = tripped || night ? 0 : m.sun() * clouds * (4.6 + m.own(3)) * (1 + 0.01 * m.noise(4));
  const double power = std::min(possible, controls.limit.value_or(possible));
  const double energy =
      21 * std::clamp((1 - std::cos(std::numbers::pi * std::clamp((m.day() - 0.25) * 2, 0.0, 1.0))) / 2, 0.0, 1.0);
  return {{"power", rounded(power, 0.001)},
          {"voltage", rounded(231 + 3 * m.drift(1200, 5) + 0.4 * m.noise(6), 0.1)},
          {"energy_today", rounded(energy, 0.01)},
          {"temperature", rounded(22 + 9 * m.sun() + 4.5 * power + 0.2 * m.noise(7), 0.01)},
          {"state", std::string(tripped            ? "fault"
                                : power < possible ? "limited"
                                : night            ? "night"
                                                   : "feeding")}};
}

struct Town {
  double latitude;
  double longitude;
};
// Depots of the fleet; each truck goes round between its own two.
constexpr std::array<Town, 6> kTowns{
    {{52.52, 13.40}, {53.55, 9.99}, {51.34, 12.37}, {52.37, 9.73}, {51.05, 13.74}, {54.09, 12.10}}};

std::vector<SiteReading> truck_report(const Moment& m) {
  const auto first = static_cast<std::size_t>(m.own(1) * kTowns.size());
  const std::size_t second = (first + 1 + static_cast<std::size_t>(m.own(2) * (kTowns.size() - 1))) % kTowns.size();
  const double trip = 5 * 3600;
  const double at = std::fmod(m.seconds() + trip * 2 * m.own(3), 2 * trip);
  const double way = at < trip ? at / trip : 2 - at / trip;
  const double share = std::clamp((way - 0.08) / 0.84, 0.0, 1.0);  // stands at both ends
  const bool driving = share > 0 && share < 1;
  const Town& from = kTowns[first];
  const Town& to = kTowns[second];
  const double bend = 0.12 * std::sin(std::numbers::pi * share);  // roads are not straight
  return {
      {"latitude", rounded(from.latitude + (to.latitude - from.latitude) * share + bend * (m.own(4) - 0.5), 0.00001)},
      {"longitude",
       rounded(from.longitude + (to.longitude - from.longitude) * share + bend * (m.own(5) - 0.5), 0.00001)},
      {"speed", rounded(driving ? std::max(0.0, 78 + 14 * m.drift(240, 6) + 2 * m.noise(7)) : 0, 0.1)},
      {"fuel", rounded(std::max(6.0, 96 - 70 * std::fmod(m.seconds() / (4 * trip) + m.own(8), 1.0)), 0.1)},
      {"cargo_temperature",
       rounded(4 + 0.7 * m.drift(1200, 9) + (m.fault(8 * 3600, 1200, 0.3, 10) ? 5 : 0) + 0.05 * m.noise(11), 0.01)},
      {"ignition", driving}};
}

registry::ProfileMetric metric(std::string name, std::string unit, ValueType type = ValueType::float64,
                               std::optional<double> min = {}, std::optional<double> max = {}) {
  registry::ProfileMetric out{.name = std::move(name), .type = type, .unit = {}, .min = min, .max = max};
  if (!unit.empty()) out.unit = std::move(unit);
  return out;
}

registry::Profile profile(Kind kind, std::string name, std::vector<registry::ProfileMetric> metrics) {
  registry::Profile out;
  out.id = kProfiles[static_cast<std::size_t>(kind)];
  out.name = std::move(name);
  out.metrics = std::move(metrics);
  out.silent_after = 1_min;
  out.labels = {{"site", "demo"}};
  out.commands = known_commands(kind);
  return out;
}

}  // namespace

std::vector<registry::Profile> profiles() {
  using enum ValueType;
  return {
      profile(cold_room, "Cold room",
              {metric("temperature", "°C", float64, -60, 60), metric("humidity", "%", float64, 0, 100),
               metric("door_open", "", boolean), metric("compressor", "", boolean)}),
      profile(pump, "Pump",
              {metric("running", "", boolean), metric("speed", "rpm", float64, 0, 3600), metric("flow", "m³/h"),
               metric("pressure", "bar"), metric("temperature", "°C", float64, -40, 150), metric("vibration", "mm/s"),
               metric("mode", "", string)}),
      profile(air, "Air quality",
              {metric("co2", "ppm", float64, 0, 10000), metric("pm25", "µg/m³"), metric("temperature", "°C"),
               metric("humidity", "%", float64, 0, 100), metric("noise", "dB")}),
      profile(inverter, "Solar inverter",
              {metric("power", "kW", float64, 0, 20), metric("voltage", "V"), metric("energy_today", "kWh"),
               metric("temperature", "°C"), metric("state", "", string)}),
      profile(truck, "Truck",
              {metric("latitude", "°", float64, -90, 90), metric("longitude", "°", float64, -180, 180),
               metric("speed", "km/h"), metric("fuel", "%", float64, 0, 100), metric("cargo_temperature", "°C"),
               metric("ignition", "", boolean)}),
  };
}

std::vector<SiteDevice> devices() {
  static constexpr std::array<std::string_view, kind_count> kIds{"cold-room", "pump", "air", "inverter", "truck"};
  static constexpr std::array<std::string_view, kind_count> kNames{"Cold room", "Pump", "Office", "Roof", "Truck"};
  static constexpr std::array<std::string_view, kind_count> kAreas{"cold chain", "pump station", "offices",
                                                                   "solar field", "fleet"};
  // Near the towns that the fleet goes between.
  struct Place {
    std::string_view name;
    double latitude;
    double longitude;
  };
  static constexpr std::array<Place, truck> kPlaces{{{"Cold store, Hamburg", 53.50, 9.93},
                                                     {"Pump station, Hannover", 52.42, 9.64},
                                                     {"Offices, Berlin", 52.51, 13.33},
                                                     {"Solar field, Leipzig", 51.25, 12.45}}};
  std::vector<SiteDevice> out;
  for (int kind = 0; kind < kind_count; ++kind) {
    const auto k = static_cast<std::size_t>(kind);
    for (int number = 1; number <= kCounts[k]; ++number) {
      SiteDevice one;
      one.kind = kind;
      one.number = number;
      one.interval = kind == truck ? 2_s : kind == pump ? 1_s : 5_s;
      const std::string digits = (number < 10 ? "0" : "") + std::to_string(number);
      one.device.device = "demo-" + std::string(kIds[k]) + "-" + digits;
      one.device.name = std::string(kNames[k]) + " " + std::to_string(number);
      one.device.profile = kProfiles[k];
      one.device.labels = {{"area", std::string(kAreas[k])}};
      one.device.demo = true;
      if (kind != truck) {
        const Moment m(static_cast<std::uint64_t>(kind) * 1000 + static_cast<std::uint64_t>(number), 0);
        const Place& place = kPlaces[k];
        one.device.location = registry::Location{place.latitude + 0.05 * m.own(90), place.longitude + 0.08 * m.own(91),
                                                 std::string(place.name)};
      }
      out.push_back(std::move(one));
    }
  }
  return out;
}

namespace {
Moment moment(const SiteDevice& device, double seconds) {
  return {static_cast<std::uint64_t>(device.kind) * 1000 + static_cast<std::uint64_t>(device.number), seconds};
}
}  // namespace

double usual_target(const SiteDevice& device) { return usual_target(moment(device, 0)); }

std::vector<SiteReading> report(const SiteDevice& device, Time time, const Controls& controls) {
  const Moment m = moment(device, static_cast<double>(time.ns) / 1e9);
  // Out of order for five minutes, each device about once in twelve hours.
  if (m.fault(12 * 3600, 300, 0.8, 99)) return {};
  // Some trucks pass a tunnel every half hour, one after the other: who watches for ten minutes sees one fall silent
  // and come back.
  if (device.kind == truck && device.number <= 6 && m.regular(1800, 150, device.number * 300)) return {};
  switch (device.kind) {
    case cold_room: return cold_room_report(m, device.number, controls);
    case pump: return pump_report(m, controls);
    case air: return air_report(m, controls);
    case inverter: return inverter_report(m, controls);
    default: return truck_report(m);
  }
}

}  // namespace flux::edge::demo
