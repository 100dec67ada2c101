#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.h"
#include "core/result.h"

namespace flux::config {

/// Where settings are read from, weakest first.
struct Sources {
  std::optional<std::filesystem::path> file;          ///< YAML
  std::vector<std::string> environment;               ///< `NAME=value`; only `FLUXGATE_*` is looked at
  std::vector<std::string> ignored_environment = {};  ///< `FLUXGATE_*` names that mean something else
  std::vector<std::string> assignments;               ///< `key=value`, from `--set`
};

/// The settings of every room under one tree of dotted keys: `bus.segment_bytes`.
///
///     Registry registry;
///     registry.add("bus", bus_config);
///     DO(registry.load({.file = path, .environment = process_environment(), .assignments = sets}));
///
/// Binds references: the Configs must outlive it. One thread, at start.
class Registry {
 public:
  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Takes the fields of `config` under `room`, with the values they hold now as defaults. `room` may have dots.
  /// A `Result<> validate() const` of the Config is asked once all sources are in.
  template <class Config>
  void add(const std::string& room, Config& config) {
    std::vector<Field> fields;
    Fields visitor(room, fields);
    config.describe(visitor);
    add_fields(std::move(fields));
    if constexpr (requires { config.validate(); }) {
      validators_.emplace_back([&config]() -> Result<> { return config.validate(); });
    }
  }

  /// Reads all sources (defaults < file < environment < assignments). The error lists everything that is wrong, one
  /// finding a line, each with where it was found and, for an unknown key, the nearest known name.
  Result<> load(const Sources& sources);

  /// Sets one key by its text, above every source; `source` says where it came from (`--http-port`).
  Result<> set(std::string_view key, std::string_view text, const std::string& source);

  /// The settings in force as YAML: doc and source of each as comments. It can be loaded again: secrets appear only as
  /// comments, masked. With `changed_only`, just what differs from its default.
  [[nodiscard]] std::string print(bool changed_only = false) const;

  /// The reference page: one Markdown table a room with key, type, default and doc.
  [[nodiscard]] std::string reference() const;

  [[nodiscard]] const std::vector<Field>& fields() const { return fields_; }
  [[nodiscard]] const Field* find(std::string_view key) const;

 private:
  void add_fields(std::vector<Field> fields);
  Result<> assign(std::string_view key, std::string_view text, int rank, const std::string& source);
  Field* find_mutable(std::string_view key);
  [[nodiscard]] std::string unknown_key(std::string_view key) const;

  void load_file(const std::filesystem::path& path, std::vector<std::string>& findings);
  void load_environment(const Sources& sources, std::vector<std::string>& findings);

  std::vector<Field> fields_;
  std::vector<std::function<Result<>()>> validators_;
};

/// `FLUXGATE_BUS_SEGMENT_BYTES` for `bus.segment_bytes`.
std::string environment_name(std::string_view key);

/// This process's environment as `NAME=value`.
std::vector<std::string> process_environment();

}  // namespace flux::config
