#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/client/api_client.h"

/// What `fluxgate <command>` does. Each prints to stdout, complains on stderr, and returns the process's exit code:
/// 0 done, 1 it failed, 2 the command line or the settings are wrong.
namespace flux::app {

struct ConfigOptions {
  std::optional<std::string> file;       ///< --config
  std::vector<std::string> assignments;  ///< --set key=value
};

struct RunOptions {
  ConfigOptions config;
  std::vector<std::pair<std::string, std::string>> flags;  ///< key and text of dedicated flags (`--http-port`)
  std::string roles = "all";
  std::string ready_file;
  bool demo = false;
};

int run(const RunOptions& options);
int print_version(bool json);
int config_check(const ConfigOptions& options);
int config_print(const ConfigOptions& options, bool changed_only);
/// The reference page of all settings, as Markdown.
int config_reference();

struct DeviceAddOptions {
  ConnectionOptions connection;
  std::string device;
  std::optional<std::string> name;
  std::optional<std::string> profile;
  std::vector<std::string> labels;  ///< key=value
  bool json = false;
};
/// Says on stderr when the device was there before: its token is another one then, beside those it has.
int device_add(const DeviceAddOptions& options);

struct DeviceListOptions {
  ConnectionOptions connection;
  std::vector<std::string> labels;  ///< key=value
  bool json = false;                ///< one object a line
};
int device_list(const DeviceListOptions& options);

struct DeviceNameOptions {
  ConnectionOptions connection;
  std::string device;
  bool json = false;
  bool yes = false;  ///< delete without asking
};
int device_show(const DeviceNameOptions& options);
int device_delete(const DeviceNameOptions& options);

struct PublishOptions {
  ConnectionOptions connection;
  std::string device;
  std::optional<std::string> time;
  std::vector<std::string> metrics;  ///< name=value; empty: JSON telemetry is read from stdin
};
int publish(const PublishOptions& options);

struct CommandSendOptions {
  ConnectionOptions connection;
  std::string device;
  std::string name;
  std::optional<std::string> payload;  ///< JSON
  std::optional<std::string> ttl;
  bool one_way = false;
  bool json = false;
};
/// Prints the command's states as they come; 0 when it succeeded (one way: was delivered), else 1.
int command_send(const CommandSendOptions& options);

struct QueryOptions {
  ConnectionOptions connection;
  std::vector<std::string> devices;
  std::vector<std::string> metrics;
  std::vector<std::string> labels;
  std::optional<std::string> from;
  std::optional<std::string> to;
  std::optional<std::string> window;
  std::vector<std::string> aggregates;
  std::optional<std::string> limit;  ///< a number or `all`; none: one page, and a word when there is more
  std::string format = "table";      ///< table, csv or json
};
int query(const QueryOptions& options);

struct TailOptions {
  ConnectionOptions connection;
  std::vector<std::string> devices;
  std::vector<std::string> metrics;
  std::vector<std::string> labels;
  bool json = false;
  std::uint64_t count = 0;  ///< end after so many readings; 0: go on until interrupted
};
int tail(const TailOptions& options);

struct LogOptions {
  std::string data_dir = "data";
  std::string topic = "processed-data";
  std::optional<std::uint16_t> partition;
  std::vector<std::string> devices;  ///< readings and events of these; empty: everything
};
/// Prints what a topic of the log holds, one JSON object a line. The server must not be running. 1 when some of it is
/// damaged: that is said, and the rest is printed.
int print_log(const LogOptions& options);

struct StoreOptions {
  ConnectionOptions connection;  ///< a running server; where none runs, `data_dir` is the folder of a stopped one
  bool wait = false;             ///< of merge: until it is done
  bool json = false;
};
/// 1 when anything is damaged.
int store_check(const StoreOptions& options);
int store_stat(const StoreOptions& options);
int store_merge(const StoreOptions& options);

}  // namespace flux::app
