#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "registry/model.h"
#include "runtime/async.h"

namespace flux::registry {

/// What processing must see of a device: the state after the change.
struct DeviceChange {
  std::string device;
  std::optional<std::string> name;
  std::optional<std::string> profile;
  Labels labels;  ///< its own, without the profile's
  std::optional<Location> location;
  bool demo = false;
};

/// One change of the registry. It was written in the transaction that made it, so none is lost and none is made up.
struct Change {
  enum class Kind : std::uint8_t { profile_set = 1, profile_removed = 2, device_set = 3, device_removed = 4 };

  std::uint64_t version = 0;  ///< counts all changes of the installation, upwards; a later state has the greater one
  TenantId tenant;
  Kind kind = Kind::device_set;
  std::string key;                     ///< id of the profile or device
  ProfilePtr profile;                  ///< of profile_set
  std::optional<DeviceChange> device;  ///< of device_set
};

/// The transactional outbox: what was changed and not yet published to the log. Any thread.
class Changes {
 public:
  virtual ~Changes() = default;
  /// The oldest unacknowledged changes with a version above `after`, in order, at most `limit`.
  virtual Async<std::vector<Change>> pending(std::uint64_t after, std::size_t limit) = 0;
  /// Everything up to `version` is durable in the log: it is forgotten here.
  virtual Async<void> ack(std::uint64_t version) = 0;
  /// `ready` is called (any thread, must not block) after each commit that added changes. One listener; null ends it,
  /// and when that has returned, it neither runs nor is called again.
  virtual void on_added(std::function<void()> ready) = 0;
};

}  // namespace flux::registry
