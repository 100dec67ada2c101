#include "edge/demo/site_commands.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace flux::edge::demo {
namespace {

using nlohmann::json;

/// One device at one moment, asked to do something.
class Asked {
 public:
  Asked(const SiteDevice& device, const Controls& controls, const json& payload, Time now)
      : device_(device), payload_(payload), now_(now), readings_(report(device, now, controls)) {
    outcome.controls = controls;
  }

  [[nodiscard]] double number(std::string_view metric) const {
    for (const SiteReading& reading : readings_)
      if (const auto* value = std::get_if<double>(&reading.value); value != nullptr && reading.metric == metric)
        return *value;
    return 0;
  }
  [[nodiscard]] bool is(std::string_view metric, const Value& value) const {
    for (const SiteReading& reading : readings_)
      if (reading.metric == metric) return reading.value == value;
    return false;
  }
  /// The number `field` of the payload (or the payload itself), within a range; fails otherwise.
  std::optional<double> argument(const char* field, double least, double most, std::string_view unit) {
    const json& value = payload_.is_object() && payload_.contains(field) ? payload_[field] : payload_;
    char range[96];
    std::snprintf(range, sizeof range, "%g to %g %.*s", least, most, static_cast<int>(unit.size()), unit.data());
    if (!value.is_number()) {
      fail_with(std::string("expected ") + field + ": a number from " + range);
      return std::nullopt;
    }
    const double number = value.get<double>();
    if (number >= least && number <= most) return number;
    fail_with(std::string(field) + " is out of range: " + range);
    return std::nullopt;
  }
  void succeed(Duration takes, const json& result) {
    outcome.takes = takes;
    outcome.succeeded = true;
    outcome.result = result.dump();
  }
  void fail_with(std::string reason, Duration takes = 400_ms) {
    outcome.takes = takes;
    outcome.succeeded = false;
    outcome.reason = std::move(reason);
  }

  bool do_pump(std::string_view name) {
    const bool hot = is("mode", Value(std::string("warning")));
    if (name == "stop") {
      outcome.controls.running = false;
      succeed(1_s, {{"running", false}});
    } else if (name == "start") {
      if (hot) return fail_with("a bearing is too hot to start: grease it first"), true;
      outcome.controls.running = true;
      succeed(1500_ms, {{"running", true}});
    } else if (name == "set_speed") {
      const auto rpm = argument("rpm", 300, 3000, "rpm");
      if (!rpm) return true;
      if (hot && *rpm > 1000) return fail_with("a bearing is too hot for more than 1000 rpm"), true;
      outcome.controls.speed = *rpm;
      succeed(2_s, {{"rpm", *rpm}});
    } else if (name == "automatic") {
      outcome.controls.running.reset();
      outcome.controls.speed.reset();
      succeed(500_ms, {{"mode", "auto"}});
    } else {
      return false;
    }
    return true;
  }

  bool do_cold_room(std::string_view name) {
    if (name != "set_setpoint") return false;
    const auto celsius = argument("celsius", -30, 12, "°C");
    if (!celsius) return true;
    if (is("door_open", Value(true))) return fail_with("the door is open: close it first"), true;
    outcome.controls.target_before = outcome.controls.target.value_or(usual_target(device_));
    outcome.controls.target = *celsius;
    outcome.controls.target_set = now_;
    succeed(600_ms, {{"celsius", *celsius}});
    return true;
  }

  bool do_air(std::string_view name) {
    if (name != "calibrate") return false;
    if (number("co2") > 950)
      return fail_with("the room must be aired first: " + std::to_string(std::lround(number("co2"))) +
                           " ppm, at most 950 while calibrating",
                       2_s),
             true;
    outcome.controls.calibrated = true;
    succeed(6_s, {{"co2_before", number("co2")}});
    return true;
  }

  bool do_inverter(std::string_view name) {
    if (name == "limit_power") {
      const auto kw = argument("kw", 0, 20, "kW");
      if (!kw) return true;
      if (is("state", Value(std::string("fault")))) return fail_with("the inverter has tripped"), true;
      outcome.controls.limit = *kw;
      succeed(1_s, {{"kw", *kw}});
    } else if (name == "release") {
      outcome.controls.limit.reset();
      succeed(1_s, nullptr);
    } else {
      return false;
    }
    return true;
  }

  bool do_truck(std::string_view name) {
    if (name != "locate") return false;
    if (is("ignition", Value(false))) return fail_with("no satellite in sight: it stands in a hall", 5_s), true;
    succeed(2_s, {{"lat", number("latitude")}, {"lon", number("longitude")}, {"accuracy_m", 4}});
    return true;
  }

  Outcome outcome;

 private:
  const SiteDevice& device_;
  const json& payload_;
  Time now_;
  std::vector<SiteReading> readings_;
};

}  // namespace

std::vector<registry::ProfileCommand> known_commands(Kind kind) {
  switch (kind) {
    case cold_room: return {{"set_setpoint", "Sets the temperature to keep.", R"({"celsius":-20})"}};
    case pump:
      return {{"start", "Runs it, whatever the demand.", {}},
              {"stop", "Stops it.", {}},
              {"set_speed", "Sets the speed while it runs.", R"({"rpm":1200})"},
              {"automatic", "By demand again.", {}}};
    case air: return {{"calibrate", "Calibrates the CO₂ sensor; takes some seconds.", {}}};
    case inverter:
      return {{"limit_power", "Feeds no more than this.", R"({"kw":2.5})"}, {"release", "Takes the limit away.", {}}};
    case truck: return {{"locate", "Says where it is.", {}}};
    case kind_count: break;
  }
  return {};
}

Outcome carry_out(const SiteDevice& device, const Controls& controls, std::string_view name, std::string_view payload,
                  Time now) {
  const json arguments = json::parse(payload, nullptr, false);
  Asked asked(device, controls, arguments, now);
  bool known = false;
  switch (static_cast<Kind>(device.kind)) {
    case cold_room: known = asked.do_cold_room(name); break;
    case pump: known = asked.do_pump(name); break;
    case air: known = asked.do_air(name); break;
    case inverter: known = asked.do_inverter(name); break;
    case truck: known = asked.do_truck(name); break;
    case kind_count: break;
  }
  if (!known) {
    std::string list;
    for (const auto& command : known_commands(static_cast<Kind>(device.kind)))
      list += (list.empty() ? "" : ", ") + command.name;
    asked.fail_with("this device knows " + list);
  }
  if (!asked.outcome.succeeded) asked.outcome.controls = controls;
  return std::move(asked.outcome);
}

Result<Told> read_command(std::string_view message) {
  try {
    const json value = json::parse(message);
    Told told{.id = value.at("id").get<std::string>(),
              .name = value.at("name").get<std::string>(),
              .payload = value.at("payload").dump()};
    TRY(told.expires, parse_rfc3339(value.at("expires").get<std::string>()));
    return told;
  } catch (const json::exception& error) {
    return fail(ErrorCode::invalid_argument, std::string("not a command: ") + error.what());
  }
}

std::string answer(const Outcome& outcome) {
  json value = {{"status", outcome.succeeded ? "succeeded" : "failed"}};
  if (outcome.succeeded) value["result"] = json::parse(outcome.result);
  else value["reason"] = outcome.reason;
  return value.dump();
}

}  // namespace flux::edge::demo
