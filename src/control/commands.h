#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/command.h"
#include "core/result.h"
#include "registry/registry.h"
#include "runtime/async.h"

namespace flux::control {

/// What people and programs do with commands. The gateway holds this interface; in one process it is the dispatcher.
/// On a shard.
class Commands {
 public:
  struct Request {
    TenantId tenant;
    std::vector<std::string> devices;
    std::string name;
    std::string payload = "null";  ///< JSON
    std::optional<Duration> ttl;
    bool response = true;  ///< wait for the device's answer; otherwise `delivered` is the end
    std::string sender;
    std::string key;  ///< the same key again gives the same commands; empty: none
  };
  struct List {
    std::vector<Command> commands;
    std::string next;  ///< cursor; empty on the last page
  };

  virtual ~Commands() = default;

  /// One command for each device, or none at all: durable when it returns. `not_found` names the device that is not
  /// registered, `invalid_argument` and `too_large` the field.
  virtual Async<std::vector<Command>> send(Request request) = 0;
  virtual Async<Command> get(TenantId tenant, std::string id) = 0;
  /// Newest first.
  virtual Async<List> list(TenantId tenant, std::optional<std::string> device, std::optional<State> state,
                           registry::Page page) = 0;
  /// `already_exists` (409) when it is no longer queued.
  virtual Async<Command> cancel(TenantId tenant, std::string id, std::string by) = 0;
};

}  // namespace flux::control
