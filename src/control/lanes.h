#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control/command_table.h"
#include "control/dispatcher.h"
#include "control/metrics.h"

namespace flux::control {

/// The devices of one shard that have a connection, and what is on its way to each. On that shard only.
class Lanes {
 public:
  /// Marks a device's next command as sent, durably, and calls back on the lanes' shard.
  using Take =
      std::function<void(TenantId, const std::string&, std::function<void(Result<std::optional<Command>>)> done)>;

  Lanes(runtime::Shard& shard, Metrics& metrics, Take take)
      : shard_(shard), metrics_(metrics), take_(std::move(take)) {}

  void attach(TenantId tenant, const std::string& device, LinkPtr link);
  void detach(TenantId tenant, const std::string& device, const LinkPtr& link);
  /// A command was given to the device.
  void wake(TenantId tenant, const std::string& device);
  /// `id` is no longer on its way: the device has it, or it has ended.
  void settled(TenantId tenant, const std::string& device, const std::string& id);
  void clear();

 private:
  struct Lane {
    TenantId tenant;
    std::string device;
    std::vector<LinkPtr> links;  // the newest last
    std::optional<std::string> in_flight;
    bool taking = false;  // a transaction is under way
    bool again = false;   // look again when it has ended
    runtime::Timer retry;
  };
  static std::string key(TenantId tenant, const std::string& device);
  Lane* find(TenantId tenant, const std::string& device);
  void land(Lane& lane);
  void step(Lane& lane);
  void taken(const std::string& key, Result<std::optional<Command>> next);

  runtime::Shard& shard_;
  Metrics& metrics_;
  Take take_;
  std::unordered_map<std::string, std::unique_ptr<Lane>> lanes_;
};

}  // namespace flux::control
