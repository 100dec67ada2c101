#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "app/client/arguments.h"
#include "app/client/known_names.h"
#include "app/client/terminal.h"
#include "app/commands.h"

namespace flux::app {
namespace {

using nlohmann::json;

/// A number or true/false as such; everything else is text, and text in quotes is always text.
json value_of(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  const json parsed = json::parse(text, nullptr, false);
  return parsed.is_number() || parsed.is_string() ? parsed : json(text);
}

/// As RFC 4180 has it. Text that a spreadsheet would take for a formula gets an apostrophe, which makes it text there.
/// A file gets every character as it is; a terminal none that steers it.
std::string csv_field(std::string text) {
  if (!text.empty() && std::string_view("=+-@\t\r").contains(text.front())) text.insert(0, 1, '\'');
  static const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  if (terminal) text = seen(text);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? "\"\"" : std::string(1, c));
  return out + '"';
}

void add_all(Parameters& parameters, const char* name, const std::vector<std::string>& values) {
  for (const auto& value : values) parameters.emplace_back(name, value);
}

void add(Parameters& parameters, const char* name, const std::optional<std::string>& value) {
  if (value) parameters.emplace_back(name, *value);
}

Result<> print_rows(const json& answer, const std::string& format, bool& header_printed) {
  for (const json& series : answer.at("series")) {
    const std::string device = series.value("device", std::string());
    const std::string metric = series.at("metric").get<std::string>();
    const json& unit = series.at("unit");
    std::vector<std::string> columns;
    if (series.contains("columns")) series.at("columns").get_to(columns);
    else columns = {"time", "value"};
    if (format == "csv") {
      if (!header_printed) {
        std::string line = "device,metric";
        for (const auto& column : columns) line += "," + column;
        std::printf("%s\n", line.c_str());
      }
      for (const json& point : series.at("points")) {
        std::string line = csv_field(device) + "," + csv_field(metric);
        for (const json& cell : point)
          line += "," + (cell.is_null() ? std::string() : (cell.is_string() ? csv_field(plain(cell)) : plain(cell)));
        std::printf("%s\n", line.c_str());
      }
    } else {
      const std::string of_unit = unit.is_string() ? " (" + unit.get<std::string>() + ")" : std::string();
      std::printf("%s%s %s%s\n", header_printed ? "\n" : "", seen(device).c_str(), seen(metric).c_str(),
                  seen(of_unit).c_str());
      std::string line;
      for (std::size_t i = 1; i < columns.size(); ++i) line += "  " + columns[i];
      std::printf("  %-30s%s\n", "time", line.c_str());
      for (const json& point : series.at("points")) {
        std::printf("  %-30s", seen(point.at(0)).c_str());
        for (std::size_t i = 1; i < point.size(); ++i) std::printf("  %s", seen(point.at(i)).c_str());
        std::printf("\n");
      }
    }
    header_printed = true;
  }
  return {};
}

}  // namespace

int device_add(const DeviceAddOptions& options) {
  auto connection = resolve(options.connection);
  if (!connection) return complain_about(connection.error());
  json body{{"device", options.device}};
  if (options.name) body["name"] = *options.name;
  if (options.profile) body["profile"] = *options.profile;
  for (const auto& label : options.labels) {
    const auto pair = split_pair(label, "label");
    if (!pair) return complain_about(pair.error());
    body["labels"][pair->first] = pair->second;
  }
  ApiClient client(*std::move(connection));
  const bool was_there = client.get("/api/v1/devices/" + path_segment(options.device)).has_value();
  const auto answer = client.post("/api/v1/connect", body.dump());
  if (!answer) return complain_about(answer.error());
  if (was_there)
    remark("device '" + options.device + "' was there before: this is another token, and those it has stay good");
  if (options.json) {
    print_json(*answer);
    return 0;
  }
  const json connected = json::parse(*answer);
  std::printf("device  %s\ntoken   %s   (shown once)\n", options.device.c_str(),
              connected.at("credential").at("token").get<std::string>().c_str());
  for (const json& snippet : connected.at("snippets"))
    std::printf("\n# %s\n%s\n", snippet.at("name").get<std::string>().c_str(),
                snippet.at("text").get<std::string>().c_str());
  return 0;
}

int publish(const PublishOptions& options) {
  auto connection = resolve(options.connection);
  if (!connection) return complain_about(connection.error());
  std::string body;
  if (options.metrics.empty()) {
    body.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    json reading{{"device", options.device}, {"metrics", json::object()}};
    if (options.time) reading["time"] = *options.time;
    for (const auto& metric : options.metrics) {
      const auto pair = split_pair(metric, "reading");
      if (!pair) return complain_about(pair.error());
      reading["metrics"][pair->first] = value_of(pair->second);
    }
    body = reading.dump();
  }
  ApiClient client(*std::move(connection));
  const auto answer = client.post("/api/v1/telemetry", body);
  if (!answer) return complain_about(answer.error());
  const json parsed = json::parse(*answer);
  std::printf("accepted %s\n", parsed.at("accepted").dump().c_str());
  if (!parsed.contains("refused") || parsed.at("refused").empty()) return 0;
  for (const json& refused : parsed.at("refused"))
    remark("refused " + refused.value("field", std::string()) + ": " + refused.value("message", std::string()));
  return 1;
}

int query(const QueryOptions& options) {
  auto connection = resolve(options.connection);
  if (!connection) return complain_about(connection.error());
  Parameters parameters;
  add_all(parameters, "device", options.devices);
  add_all(parameters, "metric", options.metrics);
  if (auto added = add_labels(parameters, options.labels); !added) return complain_about(added.error());
  add(parameters, "from", options.from);
  add(parameters, "to", options.to);
  add(parameters, "window", options.window);
  add_all(parameters, "aggregate", options.aggregates);
  const bool all = options.limit == "all";
  if (!all) add(parameters, "limit", options.limit);
  ApiClient client(*std::move(connection));
  bool header_printed = false;
  std::set<std::string> found_devices;
  std::set<std::string> found_metrics;
  std::string cursor;
  std::set<std::string> skipped;
  do {
    Parameters page = parameters;
    if (!cursor.empty()) page.emplace_back("cursor", cursor);
    const auto answer = client.get("/api/v1/query", page);
    if (!answer) return complain_about(answer.error());
    if (options.format == "json") {
      print_json(*answer);
    } else if (auto printed = print_rows(json::parse(*answer), options.format, header_printed); !printed) {
      return complain_about(printed.error());
    }
    const json parsed = json::parse(*answer);
    for (const json& series : parsed.at("series")) {
      if (series.at("device").is_string()) found_devices.insert(series.at("device").get<std::string>());
      found_metrics.insert(series.at("metric").get<std::string>());
    }
    if (parsed.contains("skipped")) skipped.merge(parsed.at("skipped").get<std::set<std::string>>());
    cursor = parsed.at("next").is_string() ? parsed.at("next").get<std::string>() : std::string();
  } while (!cursor.empty() && all);
  if (!cursor.empty() && !options.limit)
    remark(
        "there is more: these are the first 10000 points; --limit N prints N, --limit all everything, "
        "and --window 1m one line a minute");
  if (!skipped.empty()) {
    std::string names;
    for (const auto& metric : skipped) names.append(names.empty() ? "" : ", ").append(metric);
    remark("left out, being text: " + names + " (text has count, first and last)");
  }
  const auto unknown = unknown_names(client, options.devices, options.metrics, found_devices, found_metrics);
  for (const std::string& sentence : unknown) remark("fluxgate: " + sentence);
  if (!unknown.empty()) return 1;
  if (found_metrics.empty() && skipped.empty() && options.format == "table") remark("no readings match");
  return 0;
}

int tail(const TailOptions& options) {
  auto connection = resolve(options.connection);
  if (!connection) return complain_about(connection.error());
  Parameters parameters;
  add_all(parameters, "device", options.devices);
  add_all(parameters, "metric", options.metrics);
  if (auto added = add_labels(parameters, options.labels); !added) return complain_about(added.error());
  watch_interrupts();
  std::uint64_t count = 0;
  const auto enough = [&] { return options.count != 0 && count >= options.count; };
  const auto on_event = [&](std::string_view name, std::string_view data) {
    if (name != "data") return true;
    const json frame = json::parse(data, nullptr, false);
    if (!frame.is_array()) return true;
    for (const json& device : frame) {
      // Where it is not the usual one, the measurement tells metrics of one name apart.
      const std::string measurement = device.value("measurement", "");
      for (const auto& [metric, points] : device.at("metrics").items()) {
        for (const json& point : points) {
          if (enough()) return false;
          ++count;
          if (options.json) {
            json line{
                {"device", device.at("device")}, {"metric", metric}, {"time", point.at(0)}, {"value", point.at(1)}};
            if (!measurement.empty()) line["measurement"] = measurement;
            print_json(line.dump());
          } else {
            std::printf(
                "%s  %s  %s  %s\n", seen(point.at(0)).c_str(), seen(device.at("device").get<std::string>()).c_str(),
                seen(measurement.empty() ? metric : measurement + "/" + metric).c_str(), seen(point.at(1)).c_str());
          }
        }
      }
    }
    // Whoever reads us has gone, or has no room: there is nobody to go on for.
    return std::fflush(stdout) == 0 && !enough();
  };
  ApiClient client(*std::move(connection));
  for (const std::string& sentence : unknown_names(client, options.devices, {}, {}, {}))
    remark(sentence + " (waiting for its first reading)");
  const auto ended = client.events("/api/v1/live/sse", parameters, on_event, interrupted);
  if (!ended) return complain_about(ended.error());
  if (!interrupted() && !enough() && std::ferror(stdout) == 0)
    return complain_about({ErrorCode::unavailable, "the server ended the stream", {}});
  return 0;
}

}  // namespace flux::app
