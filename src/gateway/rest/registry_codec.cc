#include "gateway/rest/registry_codec.h"

#include "gateway/json_input.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using observe::append_json_number;
using observe::append_json_string;

void append_optional(std::string& out, const std::optional<std::string>& text) {
  if (text) append_json_string(out, *text);
  else out += "null";
}

void append_labels(std::string& out, const registry::Labels& labels) {
  out += '{';
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (i != 0) out += ',';
    append_json_string(out, labels[i].first);
    out += ':';
    append_json_string(out, labels[i].second);
  }
  out += '}';
}

void append_location(std::string& out, const std::optional<registry::Location>& location) {
  if (!location) {
    out += "null";
    return;
  }
  out += R"({"lat":)";
  append_json_number(out, location->latitude);
  out += R"(,"lon":)";
  append_json_number(out, location->longitude);
  if (location->place) {
    out += R"(,"place":)";
    append_json_string(out, *location->place);
  }
  out += '}';
}

void append_device_open(std::string& out, const registry::Device& device, Epoch epoch) {
  out += R"({"device":)";
  append_json_string(out, device.device);
  out += R"(,"name":)";
  append_optional(out, device.name);
  out += R"(,"profile":)";
  append_optional(out, device.profile);
  out += R"(,"labels":)";
  append_labels(out, device.labels);
  out += R"(,"location":)";
  append_location(out, device.location);
  out += R"(,"state":")";
  out += registry::to_string(device.state);
  out += R"(","connected":)";
  out += device.connected ? "true" : "false";
  out += R"(,"last_seen":)";
  if (device.last_seen) append_time(out, *device.last_seen, epoch);
  else out += "null";
  out += R"(,"created_at":)";
  append_time(out, device.created_at, epoch);
  out += R"(,"metrics":[)";
  for (std::size_t i = 0; i < device.metrics.size(); ++i) {
    const registry::Metric& metric = device.metrics[i];
    out += i == 0 ? R"({"name":)" : R"(,{"name":)";
    append_json_string(out, metric.name);
    out += R"(,"type":")";
    out += to_string(metric.type);
    out += R"(","unit":)";
    append_optional(out, metric.unit);
    if (metric.measurement != "telemetry") {
      out += R"(,"measurement":)";
      append_json_string(out, metric.measurement);
    }
    out += '}';
  }
  out += R"(],"demo":)";
  out += device.demo ? "true" : "false";
}

Result<registry::Labels> parse_labels(const JsonObject& object) {
  registry::Labels labels;
  TRY(const auto written, object.object("labels"));
  if (!written) return labels;
  for (const std::string& name : written->names()) {
    TRY(auto value, written->required_text(name));
    labels.emplace_back(name, std::move(value));
  }
  return labels;
}

Result<std::optional<registry::Location>> parse_location(const JsonObject& object) {
  TRY(const auto written, object.object("location"));
  if (!written) return std::nullopt;
  DO(written->only({"lat", "lon", "place"}));
  TRY(const auto latitude, written->number("lat"));
  TRY(const auto longitude, written->number("lon"));
  if (!latitude) return fail(ErrorCode::invalid_argument, "expected a number: it is missing", "location.lat");
  if (!longitude) return fail(ErrorCode::invalid_argument, "expected a number: it is missing", "location.lon");
  registry::Location location{*latitude, *longitude, {}};
  TRY(location.place, written->text("place"));
  return location;
}

Result<ValueType> parse_type(const JsonObject& object) {
  TRY(const auto type, object.text("type"));
  if (!type) return ValueType::float64;
  for (const ValueType one :
       {ValueType::float64, ValueType::int64, ValueType::uint64, ValueType::boolean, ValueType::string})
    if (*type == to_string(one)) return one;
  return fail(ErrorCode::invalid_argument, "expected double, int64, uint64, bool or string", object.path_of("type"));
}

}  // namespace

void append_device(std::string& out, const registry::Device& device, Epoch epoch) {
  append_device_open(out, device, epoch);
  out += '}';
}

void append_device(std::string& out, const registry::Device& device, const std::vector<store::LastPoint>& latest,
                   Epoch epoch) {
  append_device_open(out, device, epoch);
  out += R"(,"latest":)";
  append_latest(out, device, latest, epoch, false);
  out += '}';
}

void append_latest(std::string& out, const registry::Device& device, const std::vector<store::LastPoint>& latest,
                   Epoch epoch, bool with_received_at) {
  out += '{';
  bool first = true;
  for (const store::LastPoint& point : latest) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, point.series->field);
    out += R"(:{"value":)";
    append_value(out, point.value);
    out += R"(,"time":)";
    append_time(out, point.time, epoch);
    out += R"(,"unit":)";
    const registry::Metric* metric = nullptr;
    for (const registry::Metric& one : device.metrics)
      if (one.name == point.series->field) metric = &one;
    if (metric != nullptr) append_optional(out, metric->unit);
    else out += "null";
    if (with_received_at) {
      out += R"(,"received_at":)";
      append_time(out, point.received_at, epoch);
    }
    out += '}';
  }
  out += '}';
}

void append_facets(std::string& out, const registry::DeviceFacets& facets) {
  const auto counts = [&](const std::map<std::string, std::size_t>& values) {
    out += '{';
    bool first = true;
    for (const auto& [value, count] : values) {
      if (!first) out += ',';
      first = false;
      append_json_string(out, value);
      out += ':';
      append_integer(out, std::uint64_t{count});
    }
    out += '}';
  };
  out += R"({"states":{)";
  for (std::size_t i = 0; i < facets.states.size(); ++i) {
    out += i == 0 ? "\"" : ",\"";
    out += registry::to_string(static_cast<registry::DeviceState>(i));
    out += "\":";
    append_integer(out, std::uint64_t{facets.states[i]});
  }
  out += R"(},"profiles":)";
  counts(facets.profiles);
  out += R"(,"labels":{)";
  bool first = true;
  for (const auto& [label, values] : facets.labels) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, label);
    out += ':';
    counts(values);
  }
  out += "}}";
}

void append_profile(std::string& out, const registry::Profile& profile) {
  out += R"({"profile":)";
  append_json_string(out, profile.id);
  out += R"(,"name":)";
  append_optional(out, profile.name);
  out += R"(,"metrics":[)";
  for (std::size_t i = 0; i < profile.metrics.size(); ++i) {
    const registry::ProfileMetric& metric = profile.metrics[i];
    out += i == 0 ? R"({"name":)" : R"(,{"name":)";
    append_json_string(out, metric.name);
    out += R"(,"type":")";
    out += to_string(metric.type);
    out += R"(","unit":)";
    append_optional(out, metric.unit);
    if (metric.min) {
      out += R"(,"min":)";
      append_json_number(out, *metric.min);
    }
    if (metric.max) {
      out += R"(,"max":)";
      append_json_number(out, *metric.max);
    }
    out += '}';
  }
  out += R"(],"silent_after":)";
  if (profile.silent_after) append_json_string(out, to_string(*profile.silent_after));
  else out += "null";
  out += R"(,"labels":)";
  append_labels(out, profile.labels);
  out += R"(,"commands":[)";
  for (std::size_t i = 0; i < profile.commands.size(); ++i) {
    const registry::ProfileCommand& command = profile.commands[i];
    out += i == 0 ? R"({"name":)" : R"(,{"name":)";
    append_json_string(out, command.name);
    out += R"(,"description":)";
    append_optional(out, command.description);
    if (!command.example.empty()) out += R"(,"example":)" + command.example;
    out += '}';
  }
  out += "]}";
}

void append_dashboard(std::string& out, const registry::Dashboard& dashboard, bool with_document) {
  out += R"({"id":)";
  append_json_string(out, dashboard.id);
  out += R"(,"title":)";
  append_json_string(out, dashboard.title);
  out += R"(,"version":)";
  append_integer(out, std::uint64_t{dashboard.version});
  if (with_document) {
    out += R"(,"document":)";
    out += dashboard.document;
  }
  out += '}';
}

Result<registry::NewDevice> parse_new_device(std::string_view body) {
  TRY(const auto object, JsonObject::parse(body));
  DO(object.only({"device", "name", "profile", "labels", "location"}));
  registry::NewDevice device;
  TRY(device.device, object.required_text("device"));
  TRY(device.name, object.text("name"));
  TRY(device.profile, object.text("profile"));
  TRY(device.labels, parse_labels(object));
  TRY(device.location, parse_location(object));
  return device;
}

Result<registry::DevicePatch> parse_device_patch(std::string_view body) {
  TRY(const auto object, JsonObject::parse(body));
  DO(object.only({"name", "profile", "labels", "location"}));
  registry::DevicePatch patch;
  if (object.has("name")) {
    TRY(auto name, object.text("name"));
    patch.name = std::move(name);
  }
  if (object.has("profile")) {
    TRY(auto profile, object.text("profile"));
    patch.profile = std::move(profile);
  }
  patch.clear_labels = object.is_null("labels");
  TRY(const auto labels, object.object("labels"));
  if (labels) {
    auto& merged = patch.labels.emplace();
    for (const std::string& name : labels->names()) {
      TRY(auto value, labels->text(name));
      merged.emplace(name, std::move(value));
    }
  }
  if (object.has("location")) {
    TRY(auto location, parse_location(object));
    patch.location = std::move(location);
  }
  return patch;
}

Result<registry::Profile> parse_profile(std::string_view body, std::string_view id) {
  TRY(const auto object, JsonObject::parse(body));
  DO(object.only({"profile", "name", "metrics", "silent_after", "labels", "commands"}));
  registry::Profile profile;
  TRY(const auto named, object.text("profile"));
  if (id.empty() && !named) return fail(ErrorCode::invalid_argument, "expected a string: it is missing", "profile");
  if (!id.empty() && named && *named != id)
    return fail(ErrorCode::invalid_argument, "differs from the profile that the path names", "profile");
  profile.id = id.empty() ? *named : std::string(id);
  TRY(profile.name, object.text("name"));
  TRY(profile.silent_after, object.duration("silent_after"));
  TRY(profile.labels, parse_labels(object));
  TRY(const auto metrics, object.objects("metrics"));
  for (const JsonObject& written : metrics) {
    DO(written.only({"name", "type", "unit", "min", "max"}));
    registry::ProfileMetric metric;
    TRY(metric.name, written.required_text("name"));
    TRY(metric.type, parse_type(written));
    TRY(metric.unit, written.text("unit"));
    TRY(metric.min, written.number("min"));
    TRY(metric.max, written.number("max"));
    profile.metrics.push_back(std::move(metric));
  }
  TRY(const auto commands, object.objects("commands"));
  for (const JsonObject& written : commands) {
    DO(written.only({"name", "description", "example"}));
    registry::ProfileCommand command;
    TRY(command.name, written.required_text("name"));
    TRY(command.description, written.text("description"));
    command.example = written.dump("example");
    profile.commands.push_back(std::move(command));
  }
  return profile;
}

Result<DashboardInput> parse_dashboard(std::string_view body) {
  TRY(const auto object, JsonObject::parse(body));
  DO(object.only({"title", "document"}));
  DashboardInput input;
  TRY(input.title, object.required_text("title"));
  TRY(const auto document, object.object("document"));
  if (!document) return fail(ErrorCode::invalid_argument, "expected an object: it is missing", "document");
  input.document = document->dump();
  return input;
}

}  // namespace flux::gateway
