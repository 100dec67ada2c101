#include "app/client/known_names.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "config/nearest.h"

namespace flux::app {
namespace {

using nlohmann::json;

// Looking for the nearest name must not read a whole fleet.
constexpr std::size_t kLookedAt = 5'000;
// Whoever names more than this has a program that knows its names.
constexpr std::size_t kChecked = 20;

std::string guess(const std::string& word, const std::vector<std::string>& known) {
  const std::string near = config::nearest(word, known);
  return near.empty() ? std::string() : "; did you mean '" + near + "'?";
}

/// As the server reads a parameter: names with commas between them.
std::vector<std::string> split(const std::vector<std::string>& lists) {
  std::vector<std::string> names;
  for (const std::string& list : lists) {
    for (std::size_t at = 0; at <= list.size();) {
      const std::size_t end = std::min(list.find(',', at), list.size());
      if (end > at) names.push_back(list.substr(at, end - at));
      at = end + 1;
    }
  }
  return names;
}

std::string unknown_device(ApiClient& client, const std::string& device) {
  std::vector<std::string> known;
  (void)for_devices(client, {}, [&](const json& one) {
    known.push_back(one.at("device").get<std::string>());
    return known.size() < kLookedAt;
  });  // a guess is all that is lost
  return "there is no device '" + device + "'" + guess(device, known);
}

}  // namespace

std::string path_segment(const std::string& text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '~') out += c;
    else out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
  }
  return out;
}

Result<> for_devices(ApiClient& client, const Parameters& parameters,
                     const std::function<bool(const json& device)>& each) {
  std::string cursor;
  do {
    auto page = parameters;
    page.emplace_back("limit", "1000");
    if (!cursor.empty()) page.emplace_back("cursor", cursor);
    TRY(const auto text, client.get("/api/v1/devices", page));
    const json answer = json::parse(text);
    for (const json& device : answer.at("devices"))
      if (!each(device)) return {};
    cursor = answer.at("next").is_string() ? answer.at("next").get<std::string>() : std::string();
  } while (!cursor.empty());
  return {};
}

Result<> device_is_known(ApiClient& client, const std::string& device) {
  const auto answer = client.get("/api/v1/devices/" + path_segment(device));
  if (answer) return {};
  if (answer.error().code != ErrorCode::not_found) return std::unexpected(answer.error());
  return fail(ErrorCode::not_found, unknown_device(client, device));
}

std::vector<std::string> unknown_names(ApiClient& client, const std::vector<std::string>& devices,
                                       const std::vector<std::string>& metrics,
                                       const std::set<std::string>& found_devices,
                                       const std::set<std::string>& found_metrics) {
  std::vector<std::string> sentences;
  std::set<std::string> known_devices;
  std::size_t checked = 0;
  for (const std::string& device : split(devices)) {
    if (found_devices.contains(device) || ++checked > kChecked) continue;
    if (const auto known = device_is_known(client, device); known) known_devices.insert(device);
    else if (known.error().code == ErrorCode::not_found) sentences.push_back(known.error().message);
  }
  std::vector<std::string> missing = split(metrics);
  std::erase_if(missing, [&](const std::string& metric) { return found_metrics.contains(metric); });
  if (missing.empty() || !sentences.empty()) return sentences;

  std::vector<std::string> known;
  std::size_t looked_at = 0;
  const auto take = [&](const json& device) {
    for (const json& metric : device.at("metrics")) known.push_back(metric.at("name").get<std::string>());
    return ++looked_at < kLookedAt;
  };
  if (devices.empty()) {
    if (!for_devices(client, {}, take) || looked_at >= kLookedAt) return sentences;
  } else {
    known_devices.insert(found_devices.begin(), found_devices.end());
    for (const std::string& device : known_devices) {
      const auto answer = client.get("/api/v1/devices/" + path_segment(device));
      if (!answer) return sentences;  // a deleted device keeps its readings: nobody can say what it had
      take(json::parse(*answer));
    }
  }
  for (const std::string& metric : missing)
    if (std::ranges::find(known, metric) == known.end())
      sentences.push_back((devices.empty() ? "no device has a metric '" : "the device has no metric '") + metric + "'" +
                          guess(metric, known));
  return sentences;
}

}  // namespace flux::app
