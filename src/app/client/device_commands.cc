#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/client/arguments.h"
#include "app/client/known_names.h"
#include "app/client/terminal.h"
#include "app/commands.h"

namespace flux::app {
namespace {

using nlohmann::json;

std::string labels_of(const json& device) {
  std::string out;
  for (const auto& [key, value] : device.at("labels").items())
    out.append(out.empty() ? "" : " ").append(seen(key)).append("=").append(seen(value));
  return out;
}

}  // namespace

int device_list(const DeviceListOptions& options) {
  auto connection = resolve(options.connection);
  if (!connection) return complain_about(connection.error());
  Parameters parameters;
  if (const auto added = add_labels(parameters, options.labels); !added) return complain_about(added.error());
  ApiClient client(*std::move(connection));
  std::size_t count = 0;
  const auto print = [&](const json& device) {
    if (options.json) {
      print_json(device.dump());
    } else {
      if (count == 0) std::printf("%-24s  %-7s  %-30s  %s\n", "device", "state", "last seen", "name, labels");
      std::string about = device.at("name").is_null() ? std::string() : seen(device.at("name"));
      if (const std::string labels = labels_of(device); !labels.empty()) about += (about.empty() ? "" : ", ") + labels;
      std::printf("%-24s  %-7s  %-30s  %s\n", seen(device.at("device")).c_str(), seen(device.at("state")).c_str(),
                  seen(device.at("last_seen")).c_str(), about.empty() ? "-" : about.c_str());
    }
    ++count;
    return std::ferror(stdout) == 0;
  };
  if (const auto listed = for_devices(client, parameters, print); !listed) return complain_about(listed.error());
  if (count == 0) remark(options.labels.empty() ? "there is no device yet" : "no device matches");
  return 0;
}

int device_show(const DeviceNameOptions& options) {
  auto connection = resolve(options.connection);
  if (!connection) return complain_about(connection.error());
  ApiClient client(*std::move(connection));
  const std::string path = "/api/v1/devices/" + path_segment(options.device);
  if (const auto known = device_is_known(client, options.device); !known) return complain_about(known.error());
  const auto found = client.get(path);
  if (!found) return complain_about(found.error());
  const auto latest = client.get(path + "/latest");
  if (!latest) return complain_about(latest.error());
  json device = json::parse(*found);
  const json values = json::parse(*latest).at("metrics");
  if (options.json) {
    device["latest"] = values;
    print_json(device.dump());
    return 0;
  }
  std::printf("device     %s\n", seen(device.at("device")).c_str());
  for (const char* field : {"name", "profile", "state", "last_seen", "created_at"})
    std::printf("%-10s %s\n", field, seen(device.at(field)).c_str());
  const std::string labels = labels_of(device);
  std::printf("labels     %s\n", labels.empty() ? "-" : labels.c_str());
  for (const auto& [metric, latest_value] : values.items())
    std::printf("  %-24s  %s%s  at %s\n", seen(metric).c_str(), seen(latest_value.at("value")).c_str(),
                latest_value.at("unit").is_null() ? "" : (" " + seen(latest_value.at("unit"))).c_str(),
                seen(latest_value.at("time")).c_str());
  return 0;
}

int device_delete(const DeviceNameOptions& options) {
  auto connection = resolve(options.connection);
  if (!connection) return complain_about(connection.error());
  ApiClient client(*std::move(connection));
  if (const auto known = device_is_known(client, options.device); !known) return complain_about(known.error());
  if (!options.yes) {
    if (::isatty(STDIN_FILENO) != 1)
      return complain_about(
          {ErrorCode::invalid_argument, "deleting '" + options.device + "' wants to be confirmed: add --yes", {}});
    std::fprintf(stderr, "Delete device '%s'? Its tokens end at once; its readings stay until their retention. [y/N] ",
                 seen(options.device).c_str());
    std::string word;
    std::getline(std::cin, word);
    if (word != "y" && word != "Y" && word != "yes") {
      remark("nothing was deleted");
      return 1;
    }
  }
  const auto gone = client.remove("/api/v1/devices/" + path_segment(options.device));
  if (!gone) return complain_about(gone.error());
  std::printf("deleted %s\n", seen(options.device).c_str());
  return 0;
}

}  // namespace flux::app
