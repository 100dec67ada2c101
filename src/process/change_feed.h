#pragma once

#include <memory>
#include <vector>

#include "bus/bus.h"
#include "registry/changes.h"
#include "runtime/async.h"
#include "runtime/completion.h"
#include "runtime/shard.h"
#include "wire/control/control.h"

namespace flux::process {

/// The change as processing sees it.
wire::control::ControlRecord control_record(const registry::Change& change);

/// Takes the registry's changes to the partitions they concern: profiles to all, devices to their own. At least once
/// and in order; what is durable in the log is acknowledged and forgotten by the registry. Repeats carry the version
/// that they had, and processing leaves them out.
///
/// On one shard.
class ChangeFeed {
 public:
  ChangeFeed(registry::Changes& changes, bus::Bus& bus) : changes_(changes), bus_(bus) {}
  ~ChangeFeed();
  ChangeFeed(const ChangeFeed&) = delete;
  ChangeFeed& operator=(const ChangeFeed&) = delete;

  /// Publishes everything that is pending now. Before partitions start: so what was deleted while we were down is
  /// deleted before the registry hears of it again.
  Async<void> catch_up();
  /// Goes on for ever, until `stop`. Started with `runtime::spawn`.
  Async<void> run();
  /// Ends `run` once what it has under way is done. Publishes what is pending then when `catch_up` is called again.
  void stop();
  [[nodiscard]] bool running() const { return running_; }

 private:
  struct Bell;
  /// Nothing left: false.
  Async<bool> publish_some();
  Async<void> publish(const std::vector<registry::Change>& changes);

  registry::Changes& changes_;
  bus::Bus& bus_;
  std::shared_ptr<Bell> bell_;
  bool stopping_ = false;
  bool running_ = false;
};

/// Has readings erased in the order of the log: one record to each partition that may hold some. Resolves when all are
/// durable in the log; each store follows when processing comes to it.
Async<void> publish_erase(bus::Bus& bus, wire::control::EraseReadings erase);

}  // namespace flux::process
