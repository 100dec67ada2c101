#include "process/service.h"

#include "process/lost_tail.h"
#include "runtime/completion.h"
#include "runtime/spawn.h"

namespace flux::process {
namespace {

constexpr Duration kDrainLimit = 20_s;

/// Runs `call` on `shard` and goes on here with what it returned.
Async<void> call_on(runtime::Shard& shard, std::move_only_function<Result<>()> call) {
  runtime::Completion<> done;
  shard.post([done, call = std::move(call)]() mutable { done.resolve(call()); });
  co_return co_await done;
}

Async<void> forward(runtime::Completion<> done, Async<void> task) {
  auto result = co_await std::move(task);
  done.resolve(std::move(result));
  co_return {};
}

runtime::Completion<> start_on(runtime::Shard& shard, Async<void> task, std::string name) {
  runtime::Completion<> done;
  runtime::spawn(shard, forward(done, std::move(task)), std::move(name));
  return done;
}

Async<void> all(std::vector<runtime::Completion<>> tasks) {
  std::optional<Error> failed;
  for (const auto& task : tasks) {
    auto result = co_await task;
    if (!result && !failed) failed = std::move(result).error();
  }
  if (failed) co_return std::unexpected(*std::move(failed));
  co_return {};
}

}  // namespace

Service::Service(const Parts& parts, const Config& config) : parts_(parts), config_(config), metrics_(parts.metrics) {}

Service::~Service() = default;

runtime::Shard& Service::shard_of(PartitionId partition) const {
  return parts_.shards[partition.value % parts_.shards.size()];
}

Async<void> Service::start() {
  CO_DO(co_await fill_lost_tail(parts_.bus, parts_.store, parts_.checkpoints, metrics_));
  feed_ = std::make_unique<ChangeFeed>(parts_.changes, parts_.bus);
  CO_DO(co_await feed_->catch_up());

  Needs needs{.bus = parts_.bus,
              .store = parts_.store,
              .checkpoints = parts_.checkpoints,
              .live = parts_.live,
              .directory = &parts_.directory,
              .config = config_,
              .metrics = metrics_,
              .post = {},
              .background =
                  [&workers = parts_.workers](std::move_only_function<void()> task) {
                    // A full queue: the file is written here, rather than never.
                    auto shared = std::make_shared<std::move_only_function<void()>>(std::move(task));
                    if (!workers.try_submit([shared] { (*shared)(); })) (*shared)();
                  },
              .listening_since = wall_now()};
  std::vector<runtime::Completion<>> starts;
  for (std::size_t i = 0; i < parts_.bus.partition_count(); ++i) {
    const PartitionId partition{static_cast<std::uint16_t>(i)};
    runtime::Shard& shard = shard_of(partition);
    workers_.push_back(std::make_unique<Worker>(shard, needs, partition));
    auto begin = [worker = workers_.back().get()] { return worker->start(); };
    starts.push_back(start_on(shard, call_on(shard, std::move(begin)), "process start"));
  }
  if (auto started = co_await all(std::move(starts)); !started) {
    (void)co_await stop();
    co_return std::unexpected(std::move(started).error());
  }
  for (const auto& worker : workers_) {
    const std::string partition = std::to_string(worker->processor().partition().value);
    gauges_.push_back(parts_.metrics.callback_gauge("fluxgate_process_lag_records", "Records not processed yet.",
                                                    {{"partition", partition}},
                                                    [w = worker.get()] { return static_cast<double>(w->lag()); }));
    gauges_.push_back(parts_.metrics.callback_gauge("fluxgate_process_devices", "Devices that a partition knows.",
                                                    {{"partition", partition}},
                                                    [w = worker.get()] { return static_cast<double>(w->devices()); }));
  }
  runtime::spawn(*runtime::Shard::current(), feed_->run(), "registry changes");
  parts_.health.ok("process");
  co_return {};
}

Async<void> Service::drain() {
  feed_->stop();
  // What it has on its way to the log must be there before the log's end counts as reached.
  while (feed_->running()) CO_DO(co_await runtime::sleep(1_ms));
  std::vector<runtime::Completion<>> settles;
  for (const auto& worker : workers_)
    settles.push_back(start_on(worker->shard(), worker->settle(kDrainLimit), "process drain"));
  CO_DO(co_await all(std::move(settles)));
  auto flush = [&store = parts_.store] { return store.flush(); };
  CO_DO(co_await parts_.workers.run(std::move(flush)));
  std::vector<runtime::Completion<>> checkpoints;
  for (const auto& worker : workers_)
    checkpoints.push_back(start_on(worker->shard(), worker->checkpoint(kDrainLimit), "process checkpoint"));
  CO_DO(co_await all(std::move(checkpoints)));
  co_return {};
}

Async<void> Service::stop() {
  gauges_.clear();
  if (feed_) feed_->stop();
  // A worker is destroyed where it lived: what still comes back to it finds it gone.
  for (auto& worker : workers_) {
    runtime::Shard& shard = worker->shard();
    auto end = [&worker]() -> Result<> {
      worker.reset();
      return {};
    };
    CO_DO(co_await call_on(shard, std::move(end)));
  }
  workers_.clear();
  while (feed_ && feed_->running()) CO_DO(co_await runtime::sleep(1_ms));
  feed_.reset();
  co_return {};
}

std::string Service::stalled(Duration patience) const {
  const Duration now = monotonic_now();
  std::string partitions;
  std::uint64_t waiting = 0;
  for (const auto& worker : workers_) {
    const auto since = worker->stalled_since();
    if (!since || now - *since < patience) continue;
    partitions += (partitions.empty() ? "" : ", ") + std::to_string(worker->processor().partition().value);
    waiting += worker->lag();
  }
  if (partitions.empty()) return {};
  return "partitions " + partitions + " wait for the store or the log to take their outputs; " +
         std::to_string(waiting) + " records are behind them";
}

std::uint64_t Service::lag() const {
  std::uint64_t lag = 0;
  for (const auto& worker : workers_) lag += worker->lag();
  return lag;
}

}  // namespace flux::process
