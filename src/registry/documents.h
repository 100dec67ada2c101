#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "registry/changes.h"
#include "registry/model.h"

/// How the registry's nouns are spelled in columns of text: JSON.
namespace flux::registry {

std::string write_labels(const Labels& labels);
Result<Labels> read_labels(std::string_view json);

std::string write_metrics(const std::vector<ProfileMetric>& metrics);
Result<std::vector<ProfileMetric>> read_metrics(std::string_view json);

std::string write_commands(const std::vector<ProfileCommand>& commands);
Result<std::vector<ProfileCommand>> read_commands(std::string_view json);

std::string write_fields(const KnownFields& fields);
Result<KnownFields> read_fields(std::string_view json);

std::string write_texts(const std::vector<std::string>& texts);
Result<std::vector<std::string>> read_texts(std::string_view json);

std::string write_profile(const Profile& profile);
Result<Profile> read_profile(std::string_view json);

std::string write_device_change(const DeviceChange& change);
Result<DeviceChange> read_device_change(std::string_view json);

/// `invalid_argument` unless it is a JSON object.
Result<> check_json_object(std::string_view json, std::string_view field);

}  // namespace flux::registry
