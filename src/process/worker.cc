#include "process/worker.h"

#include "observe/log.h"
#include "runtime/spawn.h"

namespace flux::process {
namespace {

constexpr Duration kMaintenance = 100_ms;
constexpr Duration kPoll = 5_ms;

log::Throttle read_failed(10_s);

Needs on_shard(Needs needs, runtime::Shard& shard) {
  needs.post = [&shard](std::move_only_function<void()> task) { shard.post(std::move(task)); };
  return needs;
}

}  // namespace

Worker::Worker(runtime::Shard& shard, Needs needs, PartitionId partition)
    : shard_(shard),
      config_(needs.config),
      metrics_(needs.metrics),
      processor_(std::make_unique<Processor>(on_shard(std::move(needs), shard), partition)),
      self_(std::make_shared<Worker*>(this)) {}

Worker::~Worker() { stop(); }

Result<> Worker::start() {
  CHECK(shard_.is_current());
  DO(processor_->recover());
  maintenance_ = shard_.call_every(kMaintenance, [this] { maintain(); });
  // At the end of a short log the first turn is the last: the settings in force are then on their way before the first
  // device can connect.
  run();
  return {};
}

void Worker::stop() {
  *self_ = nullptr;
  maintenance_.cancel();
  retry_.cancel();
}

void Worker::wake() {
  if (scheduled_) return;
  scheduled_ = true;
  shard_.post([self = self_] {
    if (Worker* const worker = *self) {
      worker->scheduled_ = false;
      worker->run();
    }
  });
}

void Worker::set_stalled(bool stalled) {
  if (stalled == stalled_since().has_value()) return;
  stalled_since_.store(stalled ? shard_.now().ns : kGoing, std::memory_order_relaxed);
}

void Worker::run() {
  const Duration begun = shard_.now();
  const auto progress = processor_->step();
  metrics_.step_seconds.observe(shard_.now() - begun);
  set_stalled(!progress || *progress == Processor::Progress::blocked);
  if (!progress) {
    log::error(read_failed, "the log cannot be read, trying again",
               {{"partition", processor_->partition()}, {"reason", progress.error()}});
    retry_ = shard_.call_after(1_s, [this] { run(); });
    return;
  }
  switch (*progress) {
    case Processor::Progress::worked: wake(); return;
    case Processor::Progress::blocked: retry_ = shard_.call_after(config_.retry_interval, [this] { run(); }); return;
    case Processor::Progress::idle:
      if (processor_->fenced()) return;
      // Comes from a thread of the log, perhaps at once, perhaps when we are gone.
      processor_->on_ready([self = self_, &shard = shard_] {
        shard.post([self] {
          if (Worker* const worker = *self) worker->run();
        });
      });
      return;
  }
}

void Worker::maintain() {
  processor_->maintain(wall_now(), shard_.now());
  lag_.store(processor_->lag(), std::memory_order_relaxed);
  devices_.store(processor_->state().device_count(), std::memory_order_relaxed);
}

// Both may be waiting when whoever asked has given up and stopped the worker.

Async<void> Worker::settle(Duration limit) {
  const std::shared_ptr<Worker*> self = self_;
  processor_->quiesce();
  const Duration until = shard_.now() + limit;
  while (!processor_->settled() && !processor_->fenced()) {
    if (shard_.now() > until) {
      co_return fail(ErrorCode::timed_out, "partition " + std::to_string(processor_->partition().value) + " has " +
                                               std::to_string(processor_->lag()) + " records left to process");
    }
    maintain();
    CO_DO(co_await runtime::sleep(kPoll));
    if (*self == nullptr) co_return fail(ErrorCode::cancelled, "the worker has stopped");
  }
  co_return {};
}

Async<void> Worker::checkpoint(Duration limit) {
  const std::shared_ptr<Worker*> self = self_;
  const Duration until = shard_.now() + limit;
  while (!processor_->checkpointed() && !processor_->fenced()) {
    if (shard_.now() > until) {
      co_return fail(ErrorCode::timed_out, "no checkpoint of partition " +
                                               std::to_string(processor_->partition().value) + " could be written");
    }
    // An older one may still be waiting for the store; ours is made when that is through.
    processor_->maintain(wall_now(), shard_.now());
    processor_->checkpoint();
    CO_DO(co_await runtime::sleep(kPoll));
    if (*self == nullptr) co_return fail(ErrorCode::cancelled, "the worker has stopped");
  }
  co_return {};
}

}  // namespace flux::process
