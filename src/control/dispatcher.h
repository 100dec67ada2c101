#pragma once

#include <functional>
#include <memory>
#include <string>

#include "control/commands.h"
#include "control/config.h"
#include "observe/metrics.h"
#include "registry/directory.h"
#include "runtime/service.h"
#include "runtime/shard.h"
#include "store/database/database.h"

namespace flux::control {

/// A connection on which a device takes commands.
class Link {
 public:
  virtual ~Link() = default;
  /// Gives a command to the connection. On the device's shard; must not block, nor call the dispatcher.
  virtual void deliver(const Command& command) = 0;
};
using LinkPtr = std::shared_ptr<Link>;

/// Brings commands to devices, in order, and keeps what is known of them.
///
/// All state is in the database; memory holds, for each device with a connection, what is on its way. One command of a
/// device is on its way at a time: the next goes out when the device has said that it has the one before (its PUBACK or
/// its answer; not necessarily having carried it out), or that one's time is over. The step to `sent` is durable before
/// the first byte leaves, and one that a crash or a lost connection left at `sent` goes out again, with the same id,
/// when the device is back.
///
/// Where a device has several links, the newest gets the commands.
class Dispatcher final : public Commands, public runtime::Service {
 public:
  struct Parts {
    store::Database& database;
    const registry::Directory& directory;
    runtime::Shards& shards;
    metrics::Registry& metrics;
  };
  /// Brings the tables up to date. Blocking. All parts outlive the dispatcher.
  static Result<std::unique_ptr<Dispatcher>> open(Parts parts, const Config& config);
  ~Dispatcher() override;

  /// Told after each change of a command, in the order of commits, on the database's thread: must not block. Before
  /// `start`.
  void on_change(std::function<void(const Command&)> changed);

  // Commands
  Async<std::vector<Command>> send(Request request) override;
  Async<Command> get(TenantId tenant, std::string id) override;
  Async<List> list(TenantId tenant, std::optional<std::string> device, std::optional<State> state,
                   registry::Page page) override;
  Async<Command> cancel(TenantId tenant, std::string id, std::string by) override;

  // From the connections of devices, and of the registry. Any thread.

  void attach(TenantId tenant, const std::string& device, LinkPtr link);
  void detach(TenantId tenant, const std::string& device, LinkPtr link);
  /// The device has it. Kept until the database has taken it.
  void received(TenantId tenant, const std::string& device, const std::string& id);
  /// It cannot be carried out; `had`: the device itself said so.
  void refused(TenantId tenant, const std::string& device, const std::string& id, bool had, const std::string& reason);
  /// `done` on the database's thread, when the answer is durable or was not taken.
  void answered(TenantId tenant, const std::string& device, const std::string& id, Answer answer,
                std::function<void(const Result<>&)> done);
  /// The device was deleted: nothing waits for it any more.
  void device_removed(TenantId tenant, const std::string& device);

  // runtime::Service
  [[nodiscard]] std::string_view name() const override { return "control"; }
  Async<void> start() override;
  Async<void> drain() override;
  Async<void> stop() override;

 private:
  struct Core;
  explicit Dispatcher(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace flux::control
