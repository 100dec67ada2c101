#include "registry/documents.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace flux::registry {

namespace {

using Json = nlohmann::json;

/// Names come from devices too: what is not UTF-8 must not throw here.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <class T>
Json optional(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::optional<std::string> optional_text(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<std::string>());
}

Json to_json(const Labels& labels) {
  Json json = Json::object();
  for (const auto& [key, value] : labels) json[key] = value;
  return json;
}

Labels labels_of(const Json& json) {
  Labels labels;
  for (const auto& [key, value] : json.items()) labels.emplace_back(key, value.get<std::string>());
  std::ranges::sort(labels);
  return labels;
}

Json to_json(const std::vector<ProfileMetric>& metrics) {
  Json json = Json::array();
  for (const ProfileMetric& metric : metrics) {
    json.push_back({{"name", metric.name},
                    {"type", static_cast<int>(metric.type)},
                    {"unit", optional(metric.unit)},
                    {"min", optional(metric.min)},
                    {"max", optional(metric.max)}});
  }
  return json;
}

ValueType type_of(const Json& json) {
  const int number = json.get<int>();
  if (number < 1 || number > 5) throw std::runtime_error("type " + std::to_string(number));
  return static_cast<ValueType>(number);
}

std::vector<ProfileMetric> metrics_of(const Json& json) {
  std::vector<ProfileMetric> metrics;
  for (const Json& item : json) {
    const auto bound = [&](const char* key) -> std::optional<double> {
      return item.at(key).is_null() ? std::nullopt : std::optional(item.at(key).get<double>());
    };
    metrics.push_back({.name = item.at("name").get<std::string>(),
                       .type = type_of(item.at("type")),
                       .unit = optional_text(item.at("unit")),
                       .min = bound("min"),
                       .max = bound("max")});
  }
  return metrics;
}

Json to_json(const std::vector<ProfileCommand>& commands) {
  Json json = Json::array();
  for (const ProfileCommand& command : commands) {
    json.push_back(
        {{"name", command.name}, {"description", optional(command.description)}, {"example", command.example}});
  }
  return json;
}

std::vector<ProfileCommand> commands_of(const Json& json) {
  std::vector<ProfileCommand> commands;
  for (const Json& item : json) {
    commands.push_back({.name = item.at("name").get<std::string>(),
                        .description = optional_text(item.at("description")),
                        .example = item.at("example").get<std::string>()});
  }
  return commands;
}

template <class Read>
auto reading(std::string_view what, std::string_view text, Read read) -> Result<decltype(read(Json()))> {
  try {
    return read(Json::parse(text));
  } catch (const std::exception& e) {
    return fail(ErrorCode::corrupt, "the registry's " + std::string(what) + " cannot be read: " + e.what());
  }
}

}  // namespace

std::string write_labels(const Labels& labels) { return dump(to_json(labels)); }
Result<Labels> read_labels(std::string_view json) { return reading("labels", json, labels_of); }

std::string write_metrics(const std::vector<ProfileMetric>& metrics) { return dump(to_json(metrics)); }
Result<std::vector<ProfileMetric>> read_metrics(std::string_view json) { return reading("metrics", json, metrics_of); }

std::string write_commands(const std::vector<ProfileCommand>& commands) { return dump(to_json(commands)); }
Result<std::vector<ProfileCommand>> read_commands(std::string_view json) {
  return reading("commands", json, commands_of);
}

std::string write_fields(const KnownFields& fields) {
  Json json = Json::array();
  for (const KnownField& field : fields) {
    Json item = {field.measurement, field.name, static_cast<int>(field.type)};
    if (field.unit) item.push_back(*field.unit);
    json.push_back(std::move(item));
  }
  return dump(json);
}

Result<KnownFields> read_fields(std::string_view text) {
  return reading("fields", text, [](const Json& json) {
    KnownFields fields;
    for (const Json& item : json) {
      fields.push_back({.measurement = item.at(0).get<std::string>(),
                        .name = item.at(1).get<std::string>(),
                        .type = type_of(item.at(2)),
                        .unit = item.size() > 3 ? optional_text(item.at(3)) : std::nullopt});
    }
    return fields;
  });
}

std::string write_texts(const std::vector<std::string>& texts) { return dump(Json(texts)); }

Result<std::vector<std::string>> read_texts(std::string_view json) {
  return reading("list of texts", json, [](const Json& texts) { return texts.get<std::vector<std::string>>(); });
}

std::string write_profile(const Profile& profile) {
  return dump({{"id", profile.id},
               {"name", optional(profile.name)},
               {"metrics", to_json(profile.metrics)},
               {"silent_after_ns", profile.silent_after ? Json(profile.silent_after->ns) : Json(nullptr)},
               {"labels", to_json(profile.labels)},
               {"commands", to_json(profile.commands)},
               {"version", profile.version}});
}

Result<Profile> read_profile(std::string_view text) {
  return reading("profile", text, [](const Json& json) {
    Profile profile;
    profile.id = json.at("id").get<std::string>();
    profile.name = optional_text(json.at("name"));
    profile.metrics = metrics_of(json.at("metrics"));
    const Json& silent_after = json.at("silent_after_ns");
    if (!silent_after.is_null()) profile.silent_after = Duration{silent_after.get<std::int64_t>()};
    profile.labels = labels_of(json.at("labels"));
    // Changes that were written before profiles had commands.
    if (json.contains("commands")) profile.commands = commands_of(json.at("commands"));
    profile.version = json.at("version").get<std::uint64_t>();
    return profile;
  });
}

std::string write_device_change(const DeviceChange& change) {
  Json location = nullptr;
  if (change.location) {
    location = {{"lat", change.location->latitude},
                {"lon", change.location->longitude},
                {"place", optional(change.location->place)}};
  }
  return dump({{"device", change.device},
               {"name", optional(change.name)},
               {"profile", optional(change.profile)},
               {"labels", to_json(change.labels)},
               {"location", std::move(location)},
               {"demo", change.demo}});
}

Result<DeviceChange> read_device_change(std::string_view text) {
  return reading("change", text, [](const Json& json) {
    DeviceChange change;
    change.device = json.at("device").get<std::string>();
    change.name = optional_text(json.at("name"));
    change.profile = optional_text(json.at("profile"));
    change.labels = labels_of(json.at("labels"));
    if (const Json& location = json.at("location"); !location.is_null()) {
      change.location = Location{.latitude = location.at("lat").get<double>(),
                                 .longitude = location.at("lon").get<double>(),
                                 .place = optional_text(location.at("place"))};
    }
    change.demo = json.at("demo").get<bool>();
    return change;
  });
}

Result<> check_json_object(std::string_view text, std::string_view field) {
  try {
    if (!Json::parse(text).is_object()) {
      return fail(ErrorCode::invalid_argument, "expected a JSON object", std::string(field));
    }
  } catch (const Json::exception& e) {
    return fail(ErrorCode::invalid_argument, std::string("not valid JSON: ") + e.what(), std::string(field));
  }
  return {};
}

}  // namespace flux::registry
