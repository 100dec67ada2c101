#pragma once

#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "observe/metrics.h"
#include "store/series/engine/engine.h"
#include "store/series/engine/file_system.h"
#include "store/series/engine/head.h"
#include "store/series/engine/manifest.h"
#include "store/series/engine/part.h"
#include "store/series/engine/series_cursor.h"
#include "store/series/engine/series_index.h"
#include "store/series/engine/sliced_writer.h"
#include "store/series/engine/version.h"

namespace flux::store::engine {

struct Metrics {
  explicit Metrics(metrics::Registry& registry);
  metrics::Counter& appended;
  metrics::Counter& type_conflicts;
  metrics::Counter& flushes;
  metrics::Counter& flush_failures;
  metrics::Counter& flushed_bytes;
  metrics::Histogram& flush_seconds;
  metrics::Counter& merges;
  metrics::Counter& merged_bytes;
  metrics::Counter& damage;
  metrics::Gauge& head_bytes;
  metrics::Gauge& parts;
  metrics::Gauge& part_bytes;
  metrics::Gauge& read_only;
};

/// What the engine runs in. Tests put their own disk and clock here.
struct Environment {
  FileSystem* files = &real_file_system();
  std::function<Time()> now = wall_now;
  metrics::Registry* metrics = nullptr;
  bool background = true;  ///< false: nothing is flushed or merged but by `flush` and `merge_…`, on the calling thread
};

/// The store. Locks are taken in this order: flush_mutex_ or merge_mutex_, manifest_mutex_, state_mutex_, a
/// partition's, the index's.
///
/// - A partition's mutex guards its head; it is held while one batch is copied, and by queries for as long as copying
///   the pointers and row counts of the columns takes (head.h).
/// - state_mutex_ guards which version is current and which heads exist, so that a query sees each reading in a head
///   or in a part. It is never held during I/O.
/// - manifest_mutex_ serializes what replaces the manifest: flushes and merges.
/// - flush_mutex_ makes flushes one after another.
class Engine final : public TimeSeriesStore, public Maintenance {
 public:
  static Result<std::unique_ptr<Engine>> open(const std::filesystem::path& folder, const Config& config,
                                              Environment environment);
  ~Engine() override;

  Result<> append(PartitionId partition, Offset offset, const TelemetryBatch& batch) override;
  void advance(PartitionId partition, Offset offset) override;
  [[nodiscard]] Offset resume_from(PartitionId partition) const override;
  Result<> flush() override;
  Result<std::vector<SeriesInfoPtr>> list(const SeriesSelector& selector, std::size_t limit,
                                          std::optional<SeriesId> after) const override;
  Result<std::vector<LastPoint>> latest(const SeriesSelector& selector) const override;
  Result<> scan(const SeriesSelector& selector, TimeRange range, Order order, std::size_t limit,
                const QueryLimits& limits, std::stop_token stop, ChunkSink<Points> sink) const override;
  Result<> aggregate(const SeriesSelector& selector, TimeRange range, Window window, const QueryLimits& limits,
                     std::stop_token stop, ChunkSink<WindowedPoints> sink) const override;
  Result<> erase(PartitionId partition, Offset offset, const SeriesSelector& selector, TimeRange range) override;
  [[nodiscard]] StoreStats stats() const override;
  [[nodiscard]] Maintenance* maintenance() override { return this; }

  Result<CheckReport> check(std::stop_token stop) override;
  Result<StorageReport> storage(std::stop_token stop) override;
  void start_merge_to_end() override;
  [[nodiscard]] MergeStatus merge_status() const override;

  /// Does the most useful merge; false when there is none to do.
  Result<bool> merge_once();
  /// Merges until each time slice is one part and no delete waits to be applied.
  Result<> merge_all();
  /// Drops parts that retention has passed.
  Result<> apply_retention();

 private:
  struct Slot {  // a shape of a partition, remembered from head to head
    ShapePtr shape;
    std::vector<SeriesNumber> series;
    std::vector<char> noted;  // per field: the index knows that it has readings
    ShapeHead* rows = nullptr;
    std::uint64_t flush = 0;  // of the head that `rows` is in
  };
  struct Partition {
    mutable std::mutex mutex;
    PartitionId id;
    Offset next;               // everything before was taken
    Offset durable;            // everything before is in parts
    HeadPtr head;              // open; null: nothing since the last cut
    std::vector<HeadPtr> cut;  // being flushed, oldest first
    boost::unordered_flat_map<Fingerprint, Slot, FingerprintHash> slots;
  };
  struct QueryHead {
    Partition* partition;
    HeadPtr head;
  };
  struct Snapshot {
    VersionPtr version;
    std::vector<QueryHead> heads;  // of one partition, oldest first
  };
  struct PartSource {
    const LivePart* live = nullptr;
    IndexPagePtr page;
    const SeriesEntry* entry = nullptr;
    std::vector<TimeRange> erased;
  };
  struct HeadSource {
    Run run;
    std::uint64_t flush = 0;
  };
  struct Sources {
    std::vector<HeadSource> heads;
    std::vector<PartSource> parts;
  };
  struct Flushed {  // the newest reading that a flush wrote of a series
    SeriesNumber series;
    PartitionId partition;
    std::int64_t time;
    std::int64_t received;
    Value value;
  };
  struct Round {  // heads that were cut together, and are not yet in parts
    std::uint64_t flush = 0;
    std::vector<HeadPtr> heads;
    std::map<PartitionId, Offset> resume;
    std::optional<std::vector<PartMeta>> written;  // parts that only have to be installed
    std::vector<Flushed> newest;
  };
  struct MergeJob {
    std::vector<LivePart> inputs;  // by (last_flush, id)
  };

  Engine(std::filesystem::path folder, Config config, Environment environment);

  // engine.cc
  Result<> recover();
  Result<> remove_orphans(const Manifest& manifest);
  Result<> index_part(const LivePart& part);
  [[nodiscard]] std::filesystem::path part_path(std::uint64_t id) const;
  Partition& partition(PartitionId id);
  Head& open_head(Partition& partition);
  Slot& slot_for(Partition& partition, Head& head, const ShapePtr& shape);
  void append_group(Partition& partition, Head& head, const TelemetryBatch& batch, const TelemetryBatch::Group& group);
  void note_damage(const Error& error) const;
  SlicedWriter::NewPart name_part();

  // engine_flush.cc
  void flush_loop();
  Result<> flush_round();
  std::vector<HeadPtr> cut_heads(std::uint64_t flush, std::map<PartitionId, Offset>& resume);
  Result<std::vector<PartMeta>> write_heads(std::uint64_t flush, const std::vector<HeadPtr>& heads,
                                            const Version& version, std::vector<Flushed>& newest);
  Result<> write_round(Round& round);
  Result<> install_round(Round& round);
  Result<> write_manifest(const Version& version, const std::map<PartitionId, Offset>& resume);
  void set_read_only(const Error* error);

  // engine_merge.cc
  void merge_loop();
  [[nodiscard]] std::optional<MergeJob> choose_merge(const Version& version, bool to_the_end) const;
  [[nodiscard]] MergeJob close_over(const Version& version, std::vector<std::size_t> chosen) const;
  Result<> run_merge(const MergeJob& job, const Version& version);
  Result<std::vector<LivePart>> merged(const MergeJob& job, const Version& version);
  Result<bool> apply_deletes(const Version& version);
  [[nodiscard]] bool is_unmergeable(const LivePart& live) const;
  bool leave_damaged(const Error& error, const std::vector<LivePart>& inputs);
  Result<bool> merge_with(bool to_the_end);
  Result<std::vector<PartMeta>> write_merged(const MergeJob& job, const Version& version);
  Result<bool> is_touched(const LivePart& part, const Version& version) const;
  Result<> replace_parts(const std::vector<LivePart>& old, std::vector<LivePart> fresh,
                         std::int64_t drop_damaged_before = INT64_MIN);

  // engine_maintenance.cc
  void merge_to_end();

  // engine_query.cc
  [[nodiscard]] Snapshot snapshot() const;
  Result<Sources> collect(const Snapshot& snapshot, const SelectedSeries& series, TimeRange range, std::size_t newest,
                          std::vector<Part::Found>& of_stem, Fingerprint& stem) const;
  Result<> check_range(const Snapshot& snapshot, TimeRange range) const;
  Result<std::optional<LastKnown>> newest_of(const Snapshot& snapshot, const SelectedSeries& series) const;
  Result<std::vector<SelectedSeries>> select(const Snapshot& snapshot, const SeriesSelector& selector,
                                             const QueryLimits* limits) const;
  bool tolerate(const Error& error) const;
  [[nodiscard]] static std::optional<std::uint8_t> usable_rollup(const Sources& sources, const PartSource& part,
                                                                 std::uint8_t widest);

  const std::filesystem::path folder_;
  const Config config_;
  Environment environment_;
  FileSystem& files_;
  std::unique_ptr<metrics::Registry> own_registry_;  // where the caller gave none
  Metrics metrics_;
  mutable SeriesIndex index_;  // queries settle what they find out about unknown series
  std::shared_ptr<PageCache> pages_;

  std::array<std::atomic<Partition*>, kBucketCount> partitions_{};
  mutable std::mutex partitions_mutex_;  // of making one
  std::vector<std::unique_ptr<Partition>> owned_partitions_;

  mutable std::mutex state_mutex_;
  VersionPtr version_;
  mutable std::vector<std::string> damaged_;  // what reads came across
  std::string read_only_reason_;
  std::vector<PartMeta> unindexed_;  // parts whose series are not all known

  std::mutex manifest_mutex_;
  std::uint64_t generation_ = 0;
  std::atomic<std::uint64_t> next_part_{1};

  std::mutex flush_mutex_;
  std::optional<Round> round_;
  std::atomic<std::uint64_t> open_flush_{1};  // number of the flush that open heads will go into
  std::atomic<std::uint64_t> head_bytes_{0};
  std::atomic<std::int64_t> oldest_open_ns_{INT64_MAX};  // monotonic; when something came that is not in parts
  std::atomic<bool> read_only_{false};

  std::mutex merge_mutex_;                  // merges one after another
  std::vector<std::uint64_t> unmergeable_;  // ids of parts with damage: left as they are

  mutable std::mutex wake_mutex_;
  std::condition_variable wake_flush_;
  std::condition_variable wake_merge_;
  bool stopping_ = false;
  bool flush_wanted_ = false;
  bool merge_wanted_ = false;
  MergeStatus merge_status_;
  std::atomic<bool> stop_{false};
  std::thread flush_thread_;
  std::thread merge_thread_;
};

}  // namespace flux::store::engine
