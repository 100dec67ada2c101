#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "config/nearest.h"

using namespace flux::app;

namespace {

void add_connection(CLI::App& command, ConnectionOptions& options) {
  command.add_option("--url", options.url, "The server, such as http://127.0.0.1:8080 (or FLUXGATE_URL)");
  command.add_option("--token", options.token, "Access or device token (or FLUXGATE_TOKEN)");
  command
      .add_option("--data-dir", options.data_dir,
                  "Data folder of a server on this machine: address and access are found there")
      ->capture_default_str();
}

void add_config(CLI::App& command, ConfigOptions& options) {
  command.add_option("-c,--config", options.file, "YAML file with settings");
  command.add_option("--set", options.assignments, "One setting, key=value; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* one : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(one->get_name());
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list.append(list.empty() ? "" : ", ").append(name);
  return list;
}

/// A word that stands where a command's name is wanted, or none; says so, with the nearest there is.
bool name_wrong_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App* command = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with('-')) return false;
    const std::vector<std::string> names = commands_of(*command);
    if (names.empty()) return false;
    if (std::ranges::find(names, word) == names.end()) {
      const std::string list = joined(names);
      const std::string guess = flux::config::nearest(word, names);
      std::fprintf(stderr, "fluxgate: there is no command '%s'%s%s%s (there are %s)\n", word.c_str(),
                   guess.empty() ? "" : "; did you mean '", guess.c_str(), guess.empty() ? "" : "'?", list.c_str());
      return true;
    }
    command = command->get_subcommand(word);
  }
  const std::vector<std::string> names = commands_of(*command);
  if (names.empty()) return false;
  std::fprintf(stderr, "fluxgate: '%s' takes a command behind it: %s (--help says more)\n", command->get_name().c_str(),
               joined(names).c_str());
  return true;
}

// Each adds a command, which keeps what it was given until it runs and says how that went in `status`.

void add_run(CLI::App& app, int& status) {
  struct Words : RunOptions {
    std::string data_dir;
    std::string http_port;
    std::string mqtt_port;
  };
  const auto words = std::make_shared<Words>();
  CLI::App* run_command = app.add_subcommand("run", "Start the server");
  add_config(*run_command, words->config);
  run_command->add_option("--data-dir", words->data_dir, "Folder that holds everything kept (default: data)");
  run_command->add_option("--http-port", words->http_port,
                          "Port of API and web app; 0 picks a free one (default: 8080)");
  run_command->add_option("--mqtt-port", words->mqtt_port,
                          "Port of the MQTT endpoint; 0 picks a free one (default: 1883)");
  run_command->add_option("--ready-file", words->ready_file, "Written when serving: JSON with pid and addresses");
  run_command->add_option("--roles", words->roles, "Services to run: all, or some of their names with commas")
      ->capture_default_str();
  run_command->add_flag("--demo", words->demo, "Add a simulated site of 50 devices");
  run_command->callback([words, &status] {
    if (!words->data_dir.empty()) words->flags.emplace_back("server.data_dir", words->data_dir);
    if (!words->http_port.empty()) words->flags.emplace_back("http.port", words->http_port);
    if (!words->mqtt_port.empty()) words->flags.emplace_back("ingest.mqtt.port", words->mqtt_port);
    status = run(*words);
  });
}

void add_version(CLI::App& app, int& status) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* version_command = app.add_subcommand("version", "Print the version");
  version_command->add_flag("--json", *json, "As JSON");
  version_command->callback([json, &status] { status = print_version(*json); });
}

void add_config_commands(CLI::App& app, int& status) {
  struct Words : ConfigOptions {
    bool changed_only = false;
  };
  const auto words = std::make_shared<Words>();
  CLI::App* config_command = app.add_subcommand("config", "Look at settings");
  config_command->require_subcommand(1);
  CLI::App* check_command =
      config_command->add_subcommand("check", "Say whether the settings are right, without starting");
  add_config(*check_command, *words);
  check_command->callback([words, &status] { status = config_check(*words); });
  CLI::App* print_command =
      config_command->add_subcommand("print", "Print every setting in force and where it comes from");
  add_config(*print_command, *words);
  print_command->add_flag("--changed", words->changed_only, "Only what differs from its default");
  print_command->callback([words, &status] { status = config_print(*words, words->changed_only); });
  config_command->add_subcommand("reference", "Print the reference page of all settings, as Markdown")
      ->callback([&status] { status = config_reference(); });
}

void add_device_commands(CLI::App& app, int& status) {
  const auto added = std::make_shared<DeviceAddOptions>();
  CLI::App* device_command = app.add_subcommand("device", "Work with devices");
  device_command->require_subcommand(1);
  CLI::App* device_add_command = device_command->add_subcommand("add", "Register a device and give it a token");
  add_connection(*device_add_command, added->connection);
  device_add_command->add_option("device", added->device, "Its id, such as pump-1")->required();
  device_add_command->add_option("--name", added->name, "A name for people");
  device_add_command->add_option("--profile", added->profile, "Id of its profile");
  device_add_command->add_option("--label", added->labels, "key=value; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  device_add_command->add_flag("--json", added->json, "Print the server's answer");
  device_add_command->callback([added, &status] { status = device_add(*added); });

  const auto listed = std::make_shared<DeviceListOptions>();
  CLI::App* device_list_command = device_command->add_subcommand("list", "Print all devices");
  add_connection(*device_list_command, listed->connection);
  device_list_command->add_option("--label", listed->labels, "Only those with it, key=value; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  device_list_command->add_flag("--json", listed->json, "One JSON object a line");
  device_list_command->callback([listed, &status] { status = device_list(*listed); });
  const auto shown = std::make_shared<DeviceNameOptions>();
  CLI::App* device_show_command = device_command->add_subcommand("show", "Print a device and its last readings");
  add_connection(*device_show_command, shown->connection);
  device_show_command->add_option("device", shown->device, "Its id")->required();
  device_show_command->add_flag("--json", shown->json, "As JSON");
  device_show_command->callback([shown, &status] { status = device_show(*shown); });
  const auto deleted = std::make_shared<DeviceNameOptions>();
  CLI::App* device_delete_command =
      device_command->add_subcommand("delete", "Delete a device and its tokens; its readings stay");
  add_connection(*device_delete_command, deleted->connection);
  device_delete_command->add_option("device", deleted->device, "Its id")->required();
  device_delete_command->add_flag("--yes", deleted->yes, "Do not ask");
  device_delete_command->callback([deleted, &status] { status = device_delete(*deleted); });
}

void add_publish(CLI::App& app, int& status) {
  const auto options = std::make_shared<PublishOptions>();
  CLI::App* publish_command =
      app.add_subcommand("publish", "Send readings; without any, JSON telemetry is read from stdin");
  add_connection(*publish_command, options->connection);
  publish_command->add_option("--device", options->device, "The device they are of");
  publish_command->add_option("--time", options->time, "Event time (default: now)");
  publish_command->add_option("readings", options->metrics, "name=value …");
  publish_command->callback([options, &status] {
    if (!options->metrics.empty() && options->device.empty())
      throw CLI::ValidationError("--device", "is needed with readings");
    // JSON from stdin says itself whose readings it holds and of when.
    if (options->metrics.empty() && !options->device.empty())
      throw CLI::ValidationError("--device", "goes with readings (name=value); JSON from stdin names its device");
    if (options->metrics.empty() && options->time)
      throw CLI::ValidationError("--time", "goes with readings (name=value); JSON from stdin says its times");
    status = publish(*options);
  });
}

void add_command_commands(CLI::App& app, int& status) {
  const auto options = std::make_shared<CommandSendOptions>();
  CLI::App* command_command = app.add_subcommand("command", "Tell devices what to do");
  command_command->require_subcommand(1);
  CLI::App* send_command = command_command->add_subcommand("send", "Send a command and print its states as they come");
  add_connection(*send_command, options->connection);
  send_command->add_option("device", options->device, "The device's id")->required();
  send_command->add_option("name", options->name, "The command, such as set_speed")->required();
  send_command->add_option("payload", options->payload, "JSON, such as '{\"rpm\":1200}'");
  send_command->add_option("--ttl", options->ttl, "How long it is worth carrying out, such as 5m");
  send_command->add_flag("--one-way", options->one_way, "Wait for no answer: delivered is the end");
  send_command->add_flag("--json", options->json, "Print the command as JSON when it is finished");
  send_command->callback([options, &status] { status = command_send(*options); });
}

void add_query(CLI::App& app, int& status) {
  const auto options = std::make_shared<QueryOptions>();
  CLI::App* query_command = app.add_subcommand("query", "Print readings or windows of them");
  add_connection(*query_command, options->connection);
  query_command->add_option("--device", options->devices, "Devices")->take_all()->allow_extra_args(false);
  query_command->add_option("--metric", options->metrics, "Metrics")->take_all()->allow_extra_args(false);
  query_command->add_option("--label", options->labels, "Of the device, key=value")
      ->take_all()
      ->allow_extra_args(false);
  query_command->add_option("--from", options->from, "Start: RFC 3339, Unix time, or relative such as -1h");
  query_command->add_option("--to", options->to, "End, not included");
  query_command->add_option("--window", options->window, "Width of windows, such as 1m");
  query_command->add_option("--aggregate", options->aggregates, "mean, min, max, sum, count, first, last")
      ->take_all()
      ->allow_extra_args(false);
  query_command->add_option("--limit", options->limit, "At most so many points, or all (default: 10000)");
  query_command->add_option("--format", options->format, "table, csv or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "csv", "json"}));
  query_command->callback([options, &status] { status = query(*options); });
}

void add_tail(CLI::App& app, int& status) {
  const auto options = std::make_shared<TailOptions>();
  CLI::App* tail_command = app.add_subcommand("tail", "Print readings as they arrive");
  add_connection(*tail_command, options->connection);
  tail_command->add_option("--device", options->devices, "Devices")->take_all()->allow_extra_args(false);
  tail_command->add_option("--metric", options->metrics, "Metrics")->take_all()->allow_extra_args(false);
  tail_command->add_option("--label", options->labels, "Of the device, key=value")->take_all()->allow_extra_args(false);
  tail_command->add_option("-n,--count", options->count, "End after so many readings");
  tail_command->add_flag("--json", options->json, "One JSON object a line");
  tail_command->callback([options, &status] { status = tail(*options); });
}

void add_log(CLI::App& app, int& status) {
  const auto options = std::make_shared<LogOptions>();
  CLI::App* log_command =
      app.add_subcommand("log", "Print what a topic of a stopped server's log holds, one JSON object a line");
  log_command->add_option("topic", options->topic, "raw-sensor-data, processed-data, device-events or dead-letters")
      ->capture_default_str();
  log_command->add_option("--data-dir", options->data_dir, "Data folder of the server")->capture_default_str();
  log_command->add_option("--partition", options->partition, "Only this one");
  log_command->add_option("--device", options->devices, "Only readings and events of these devices")
      ->take_all()
      ->allow_extra_args(false);
  log_command->callback([options, &status] { status = print_log(*options); });
}

void add_store_commands(CLI::App& app, int& status) {
  CLI::App* store_command =
      app.add_subcommand("store", "Look after the time-series store, of a running server or of a stopped one's folder");
  store_command->require_subcommand(1);
  const auto options = std::make_shared<StoreOptions>();
  const auto add = [&](const char* name, const char* about, int (*act)(const StoreOptions&)) {
    CLI::App* command = store_command->add_subcommand(name, about);
    add_connection(*command, options->connection);
    command->add_flag("--json", options->json, "As JSON");
    command->callback([options, &status, act] { status = act(*options); });
    return command;
  };
  add("check", "Read everything and verify every checksum and count", store_check);
  add("stat", "Print bytes per value by metric and codec", store_stat);
  add("merge", "Write what is in memory, and merge parts until there is nothing left to merge", store_merge)
      ->add_flag("--wait", options->wait, "Until it is done");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Fluxgate takes what devices send, keeps it, shows it live and answers questions about it.", "fluxgate");
  app.require_subcommand(1);
  int status = 0;
  for (const auto add : {add_run, add_version, add_config_commands, add_device_commands, add_publish,
                         add_command_commands, add_query, add_tail, add_log, add_store_commands})
    add(app, status);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0 && name_wrong_command(app, argc, argv)) return 2;
    const int code = app.exit(error);
    if (code != 0) return 2;
  }
  // A full disk behind a redirection: what was not written was not printed.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::fprintf(stderr, "fluxgate: the output cannot be written: %s\n", std::strerror(errno));
    return status == 0 ? 1 : status;
  }
  return status;
}
