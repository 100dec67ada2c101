#include "bus/embedded/embedded_bus.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bus/embedded/group_offsets.h"
#include "bus/embedded/log_threads.h"
#include "bus/embedded/metrics.h"
#include "bus/embedded/partition_log.h"
#include "bus/embedded/partition_reader.h"
#include "bus/embedded/segment_format.h"
#include "core/hash.h"
#include "observe/log.h"

namespace flux::bus::embedded {
namespace {

// What is fixed for the life of the folder:
//  0  file header, magic "FLUXMETA"
// 32  u32 partitions   36 u32 CRC-32C of everything before
constexpr std::string_view kMetaMagic = "FLUXMETA";
constexpr std::size_t kMetaBytes = kFileHeaderBytes + 8;

constexpr Duration kHousekeeping = 500_ms;

std::uint32_t default_partitions() { return std::clamp(std::thread::hardware_concurrency(), 1U, 16U); }

Result<std::uint32_t> load_partitions(FileSystem& files, const std::filesystem::path& path, std::uint32_t configured) {
  if (!files.exists(path)) {
    const std::uint32_t partitions = configured != 0 ? configured : default_partitions();
    std::string bytes(kMetaBytes, '\0');
    auto* out = reinterpret_cast<std::byte*>(bytes.data());
    put_file_header(kMetaMagic, out);
    std::memcpy(out + kFileHeaderBytes, &partitions, sizeof partitions);
    const std::uint32_t crc = crc32c({out, kFileHeaderBytes + 4});
    std::memcpy(out + kFileHeaderBytes + 4, &crc, sizeof crc);
    DO(replace_file(files, path, bytes));
    return partitions;
  }
  TRY(const std::string bytes, read_file(files, path, 4096));
  const auto raw = std::as_bytes(std::span(bytes));
  DO(check_file_header(kMetaMagic, raw, path));
  std::uint32_t partitions = 0;
  std::uint32_t crc = 0;
  if (raw.size() != kMetaBytes) return fail(ErrorCode::corrupt, path.string() + " has not the length it should have");
  std::memcpy(&partitions, raw.data() + kFileHeaderBytes, sizeof partitions);
  std::memcpy(&crc, raw.data() + kFileHeaderBytes + 4, sizeof crc);
  if (crc != crc32c(raw.first(kFileHeaderBytes + 4)))
    return fail(ErrorCode::corrupt, path.string() + ", byte 36: the checksum is wrong");
  if (partitions < 1 || partitions > kBucketCount)
    return fail(ErrorCode::corrupt, path.string() + ", byte 32: " + std::to_string(partitions) + " partitions");
  if (configured != 0 && configured != partitions)
    log::warn("the log keeps the partitions it was made with",
              {{"configured", configured}, {"partitions", partitions}});
  return partitions;
}

class EmbeddedBus final : public Bus, public Producer {
 public:
  EmbeddedBus(const std::filesystem::path& folder, const Config& config, metrics::Registry& registry, FileSystem& files,
              std::unique_ptr<FolderLock> lock, std::unique_ptr<GroupOffsets> groups, std::size_t partitions)
      : lock_(std::move(lock)),
        config_(config),
        metrics_(registry),
        groups_(std::move(groups)),
        threads_(config.threads),
        context_{.config = config_,
                 .folder = folder,
                 .files = files,
                 .metrics = metrics_,
                 .groups = *groups_,
                 .threads = threads_,
                 .partition_count = partitions} {}

  Result<> start(metrics::Registry& registry) {
    for (const Topic topic : kTopics) {
      auto& logs = logs_[static_cast<std::size_t>(topic)];
      for (std::size_t i = 0; i < context_.partition_count; ++i) {
        TRY(auto log, PartitionLog::open(context_, topic, {static_cast<std::uint16_t>(i)}));
        logs.push_back(std::move(log));
      }
    }
    // What was made of a raw record is durable only after it.
    auto& raw = logs_[static_cast<std::size_t>(Topic::raw_sensor_data)];
    for (const Topic topic : kTopics) {
      if (topic == Topic::raw_sensor_data) continue;
      for (const auto& log : logs_[static_cast<std::size_t>(topic)]) {
        const auto origin = log->last_origin();
        if (origin && origin->input.partition.value < raw.size())
          raw[origin->input.partition.value]->expect_until({origin->input.offset.value + 1}, to_string(topic));
      }
    }
    registrations_.push_back(registry.callback_gauge("fluxgate_bus_queued_bytes", "Bytes published, not yet durable.",
                                                     {}, [this] { return static_cast<double>(queued_bytes()); }));
    registrations_.push_back(registry.callback_gauge("fluxgate_bus_segments", "Segment files of the log.", {}, [this] {
      return sum([](const auto& log) { return log.segment_count(); });
    }));
    registrations_.push_back(
        registry.callback_gauge("fluxgate_bus_log_bytes", "Size of the log's segments.", {},
                                [this] { return sum([](const auto& log) { return log.info().bytes; }); }));
    housekeeper_ = std::thread([this] { keep_house(); });
    pthread_setname_np(housekeeper_.native_handle(), "log-house");
    started_ = true;
    return {};
  }

  ~EmbeddedBus() override {
    registrations_.clear();
    if (started_) {
      {
        const std::scoped_lock lock(house_mutex_);
        stopping_ = true;
      }
      house_changed_.notify_all();
      housekeeper_.join();
    }
    for (auto& logs : logs_)
      for (auto& log : logs) log->refuse();
    threads_.stop();
    for (auto& logs : logs_)
      for (auto& log : logs) log->close();
    if (started_) save_groups();
  }

  std::size_t partition_count() const override { return context_.partition_count; }
  Producer& producer() override { return *this; }
  std::size_t queued_bytes() const override { return context_.queued_bytes.load(std::memory_order_relaxed); }

  void publish(Topic topic, PartitionId partition, Record record, Published done) override {
    auto log = find(topic, partition);
    if (!log) return done(std::unexpected(log.error()));
    (*log)->publish(std::move(record), std::move(done));
  }

  Result<std::unique_ptr<Reader>> reader(Topic topic, PartitionId partition, Offset from) override {
    TRY(PartitionLog * log, find(topic, partition));
    const PartitionInfo info = log->info();
    if (from > info.end)
      return fail(ErrorCode::invalid_argument, "offset " + std::to_string(from.value) + " lies beyond the end of " +
                                                   log->name() + " at " + std::to_string(info.end.value));
    return std::make_unique<PartitionReader>(*log, std::max(from, info.first));
  }

  Result<PartitionInfo> info(Topic topic, PartitionId partition) const override {
    TRY(const PartitionLog* log, find(topic, partition));
    return log->info();
  }

  void commit(std::string_view group, Topic topic, PartitionId partition, Offset next) override {
    groups_->commit(group, topic, partition, next);
  }
  std::optional<Offset> committed(std::string_view group, Topic topic, PartitionId partition) const override {
    return groups_->committed(group, topic, partition);
  }
  void forget(std::string_view group) override { groups_->forget(group); }

  Result<std::optional<Origin>> last_origin(Topic topic, PartitionId partition) override {
    TRY(const PartitionLog* log, find(topic, partition));
    return log->last_origin();
  }

 private:
  Result<PartitionLog*> find(Topic topic, PartitionId partition) const {
    const auto& logs = logs_[static_cast<std::size_t>(topic)];
    if (partition.value < logs.size()) return logs[partition.value].get();
    return fail(ErrorCode::invalid_argument, "the log has no partition " + std::to_string(partition.value));
  }

  double sum(auto number) const {
    std::uint64_t total = 0;
    for (const auto& logs : logs_)
      for (const auto& log : logs) total += number(*log);
    return static_cast<double>(total);
  }

  void keep_house() {
    const bool syncs = config_.fsync == Fsync::interval;
    const Duration pause = syncs ? std::min(config_.fsync_interval, kHousekeeping) : kHousekeeping;
    Duration tended = monotonic_now();
    std::unique_lock lock(house_mutex_);
    while (!house_changed_.wait_for(lock, std::chrono::nanoseconds(pause.ns), [&] { return stopping_; })) {
      lock.unlock();
      if (syncs)
        for (auto& logs : logs_)
          for (auto& log : logs) log->sync_soon();
      if (const Duration now = monotonic_now(); now - tended >= kHousekeeping) {
        tended = now;
        for (auto& logs : logs_)
          for (auto& log : logs) log->tend(wall_now());
        save_groups();
      }
      lock.lock();
    }
  }

  void save_groups() {
    static log::Throttle throttle{10_s};
    if (auto saved = groups_->save(); !saved)
      log::warn(throttle, "positions of consumers could not be saved", {{"error", saved.error()}});
  }

  // In this order: what is named first is needed by what follows, and goes last.
  std::unique_ptr<FolderLock> lock_;
  const Config config_;
  Metrics metrics_;
  std::unique_ptr<GroupOffsets> groups_;
  LogThreads threads_;
  LogContext context_;
  std::array<std::vector<std::unique_ptr<PartitionLog>>, kTopicCount> logs_;
  std::vector<metrics::Registration> registrations_;

  std::mutex house_mutex_;
  std::condition_variable house_changed_;
  bool stopping_ = false;
  bool started_ = false;
  std::thread housekeeper_;
};

}  // namespace

Result<std::unique_ptr<Bus>> open(const std::filesystem::path& folder, const Config& config, metrics::Registry& metrics,
                                  FileSystem& files) {
  DO(config.validate());
  DO(files.make_folders(folder));
  TRY(auto lock, files.lock(folder));
  TRY(const std::uint32_t partitions, load_partitions(files, folder / "meta", config.partitions));
  TRY(auto groups, GroupOffsets::open(files, folder / "groups"));
  if (config.fsync != Fsync::always)
    log::warn(
        "the log answers before it has synced: acknowledged readings survive a crash of this process, but not of "
        "the machine",
        {{"fsync", config.fsync == Fsync::interval ? "interval" : "off"}});
  auto bus =
      std::make_unique<EmbeddedBus>(folder, config, metrics, files, std::move(lock), std::move(groups), partitions);
  DO(bus->start(metrics));
  return bus;
}

}  // namespace flux::bus::embedded
