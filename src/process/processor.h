#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/bus.h"
#include "process/checkpoints.h"
#include "process/config.h"
#include "process/live_output.h"
#include "process/metrics.h"
#include "process/pipeline.h"
#include "process/registry_sink.h"
#include "process/sinks.h"
#include "process/state.h"
#include "process/store_sink.h"
#include "process/topic_sink.h"
#include "store/series/series_store.h"

namespace flux::process {

/// What a partition needs of the world. All outlive the processor; `live` and `directory` may be null.
struct Needs {
  bus::Bus& bus;
  store::TimeSeriesStore& store;
  Checkpoints& checkpoints;
  LiveSink* live = nullptr;
  registry::Directory* directory = nullptr;
  const Config& config;
  Metrics& metrics;
  Post post;  ///< runs a task later on the partition's thread
  /// Runs a task that blocks, on another thread where there is one.
  std::function<void(std::move_only_function<void()>)> background;
  /// Since when devices could reach us.
  Time listening_since;
};

/// One partition from the log to its sinks. Has neither a thread nor a clock of its own: `Worker` gives it both, and a
/// simulation gives it others.
///
/// After a crash: the newest checkpoint that store and topics cover, then the log from there on. Records that the
/// store has are not offered again, outputs that the topics have are left out: all is there exactly once.
class Processor {
 public:
  Processor(const Needs& needs, PartitionId partition);
  ~Processor();
  Processor(const Processor&) = delete;
  Processor& operator=(const Processor&) = delete;

  /// Takes the partition over and goes to where the last run can be continued. Once, first. `corrupt` when the log ends
  /// before what the store knows of it: see `fill_lost_tail`.
  Result<> recover();

  enum class Progress : std::uint8_t {
    worked,   ///< call again soon
    idle,     ///< at the log's end: call again when `on_ready` says so
    blocked,  ///< a sink is full: call again in a while
  };
  /// Processes about `read_bytes`. An error is one of reading the log; a later call tries again.
  Result<Progress> step();
  /// `ready` runs once (any thread) when there is something to read; after `idle`.
  void on_ready(std::move_only_function<void()> ready);

  /// Everything that time brings: ticks, checkpoints, commits, retries. About every 100 ms.
  void maintain(Time now, Duration monotonic);

  /// No more ticks from now on, so that the log comes to an end.
  void quiesce() { quiet_ = true; }
  /// The log's end is reached, and all outputs but the store's are durable.
  [[nodiscard]] bool settled() const;
  /// Makes a checkpoint of the present state unless there is one; written when the store covers it.
  void checkpoint();
  /// There is a durable checkpoint of the present state.
  [[nodiscard]] bool checkpointed() const;

  [[nodiscard]] PartitionId partition() const { return partition_; }
  [[nodiscard]] const PartitionState& state() const { return state_; }
  [[nodiscard]] Offset next() const { return next_; }
  /// Records at the log's end that are not processed yet.
  [[nodiscard]] std::uint64_t lag() const;
  /// This partition belongs to another process now; nothing more will be written.
  [[nodiscard]] bool fenced() const { return fenced_; }

 private:
  /// Where a recovery begins to look in dead_letters, device_events, processed_data.
  using TopicPlaces = std::array<Offset, 3>;
  struct Pending {
    Checkpoint checkpoint;
    TopicPlaces topics;
    bool writing = false;
  };

  bool restore(const Checkpoint& checkpoint, Offset first_kept);
  /// Has the checkpoint name places in topics that there are, after a power cut took the end of some.
  void follow_lost_topics();
  Result<bool> fill();
  void count(const Outputs& outputs);
  void reached_end();
  void tick(Time now, Duration monotonic);
  void publish_control(const wire::control::ControlRecord& record, std::function<void(bool)> done);
  void write_pending();
  void written(Result<> result);
  void commit();

  Needs needs_;
  const PartitionId partition_;
  PartitionState state_;
  Pipeline pipeline_;
  std::unique_ptr<bus::Reader> reader_;
  Generation generation_;

  std::unique_ptr<StoreSink> store_sink_;
  std::vector<std::unique_ptr<TopicSink>> topics_;  // the first so many of the places: processed_data may be off
  std::unique_ptr<RegistrySink> registry_sink_;
  std::unique_ptr<LiveOutput> live_output_;
  Sinks sinks_;

  std::vector<bus::Record> records_;  // read and not yet applied, from `at_`
  std::size_t at_ = 0;
  Outputs outputs_;
  bool outputs_waiting_ = false;      // applied to the state, not yet taken by all sinks
  Offset next_;                       // the first record that the state has not seen
  Time last_appended_ = Time::min();  // when the log got the newest record that we have seen
  bool at_end_ = false;
  Offset start_end_;  // of the log when we started
  bool caught_up_ = false;

  std::optional<Pending> pending_;
  TopicPlaces topics_from_{};  // of the checkpoint that is durable
  Offset durable_next_;        // of the same
  bool have_durable_ = false;
  std::optional<std::array<Offset, 2>> committed_;  // of process and store, as the log was last told
  Duration last_checkpoint_{INT64_MIN / 2};         // long ago, however young the machine is
  bool tick_in_flight_ = false;
  bool rules_in_flight_ = false;
  Duration next_tick_;
  bool quiet_ = false;
  bool fenced_ = false;
  std::shared_ptr<bool> alive_;  // false when callbacks come too late
};

}  // namespace flux::process
