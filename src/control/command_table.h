#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/command.h"
#include "core/result.h"
#include "store/database/database.h"

/// Every step of a command, each inside one transaction: the only code that changes a command's state.
namespace flux::control::table {

struct NewCommands {
  TenantId tenant;
  std::vector<std::string> devices;
  std::string name;
  std::string payload;
  bool response = true;
  std::string sender;
  std::string key;     ///< the client's; empty: none
  std::string digest;  ///< of all that the request says
  Time expires_at;
};

/// One command for each device, in that order. With a key that was used before, what was made then: `already_exists`
/// when it stood for another request. `exhausted` when `waiting` commands of a device are not finished.
Result<std::vector<Command>> create(store::Session& session, const NewCommands& wanted, std::size_t waiting, Time now,
                                    Changes& changes);

/// The next command for a connection of the device, marked as sent: the oldest that the device has not said it has.
/// Those whose time is over expire on the way.
Result<std::optional<Command>> take(store::Session& session, TenantId tenant, const std::string& device, Time now,
                                    Changes& changes);

/// The device has it (PUBACK). Twice is once.
Result<> received(store::Session& session, TenantId tenant, const std::string& device, const std::string& id, Time now,
                  Changes& changes);
/// It cannot be carried out: the device refused the message (`had` it then), or the message cannot reach it.
Result<> refused(store::Session& session, TenantId tenant, const std::string& device, const std::string& id, bool had,
                 const std::string& reason, Time now, Changes& changes);
/// The device's answer; the same one again changes nothing. `not_found`: no such command was given to this device.
/// `already_exists`: it answered otherwise before. One that comes after the end of its time is noted, and the command
/// stays expired.
Result<> answered(store::Session& session, TenantId tenant, const std::string& device, const std::string& id,
                  const Answer& answer, Time now, Changes& changes);

/// `already_exists` when it is no longer queued: the device may have it.
Result<Command> cancel(store::Session& session, TenantId tenant, const std::string& id, const std::string& by, Time now,
                       Changes& changes);
/// Ends what waits for a device that was deleted, as far as it was given before `until`.
Result<> cancel_all(store::Session& session, TenantId tenant, const std::string& device, Time until, Time now,
                    Changes& changes);

/// Ends up to `limit` commands whose time is over. Returns when the next one ends (a past time when there are more).
Result<std::optional<Time>> expire(store::Session& session, Time now, std::size_t limit, Changes& changes);
/// Forgets up to `limit` commands that were finished before `before`, and old keys.
Result<std::size_t> forget(store::Session& session, Time before, std::size_t limit);

struct Filter {
  TenantId tenant;
  std::optional<std::string> device;
  std::optional<State> state;
  std::uint64_t below = UINT64_MAX >> 1;  ///< sequences
  std::size_t limit = 100;
};
/// Newest first.
Result<std::vector<Command>> list(store::Session& session, const Filter& filter);
Result<Command> get(store::Session& session, TenantId tenant, const std::string& id);

struct Waiting {
  std::size_t queued = 0;
  std::size_t sent = 0;
  std::size_t delivered = 0;
};
Result<Waiting> count_waiting(store::Session& session);
/// Devices with unfinished commands.
Result<std::vector<std::pair<TenantId, std::string>>> waiting_devices(store::Session& session);

}  // namespace flux::control::table
