#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/telemetry_batch.h"

/// The log: what carries everything between roles, and the system's only write-ahead log.
///
/// Topics are made of partitions; a partition is an ordered sequence of records. A record is readable only once it is
/// durable, so that nothing downstream ever knows of something that a crash takes back.
namespace flux::bus {

/// The topics there are. Names are part of the contract with programs that read them from Kafka.
enum class Topic : std::uint8_t {
  raw_sensor_data,
  processed_data,
  device_events,
  alerts,
  device_commands,
  dead_letters,
  broker_state
};
inline constexpr std::size_t kTopicCount = 7;
inline constexpr Topic kTopics[kTopicCount] = {Topic::raw_sensor_data, Topic::processed_data,  Topic::device_events,
                                               Topic::alerts,          Topic::device_commands, Topic::dead_letters,
                                               Topic::broker_state};
/// `raw-sensor-data`, …: names of topics in Kafka and of folders in the embedded log.
std::string_view to_string(Topic topic);
std::optional<Topic> topic_named(std::string_view name);

/// Where an output came from. A sink that has seen an origin ignores everything up to it: so a replay adds nothing.
struct Origin {
  Position input;             ///< the input record
  std::uint32_t ordinal = 0;  ///< which of its outputs
  friend constexpr auto operator<=>(const Origin&, const Origin&) = default;
};

enum class RecordKind : std::uint8_t {
  telemetry = 1,  ///< `batch` is set
  control = 2,    ///< `payload` is a control record: a change that processing must see in order (wire/control)
  event = 3,      ///< `payload` is a JSON object: a device event, dead letter, alert or command
  processed = 4,  ///< `payload` is readings with what is known of their devices (wire/processed/processed_codec.h)
};

/// Immutable bytes, shared between the tail and its readers.
using Payload = std::shared_ptr<const std::string>;

struct Record {
  RecordKind kind = RecordKind::telemetry;
  BatchPtr batch;                ///< telemetry only
  Payload payload;               ///< every other kind
  std::optional<Origin> origin;  ///< of a record that processing made from another
  bool sync_first = false;       ///< answered once it survives a power cut, however the log answers others
  Offset offset;                 ///< set by the log
  Time appended_at;              ///< set by the log
};

/// Called once, on a thread of the log, after the record is durable (or never will be). Must not block: post onwards.
/// What is refused at once is answered on the calling thread, before `publish` returns.
/// `exhausted`: the log or its queue is full, nothing was written. `unavailable`: the disk is full or unwritable, or
/// the log is closing; nothing was written. `too_large`: no record of this size is taken. `invalid_argument`: there is
/// no such partition, or the record lacks what its kind needs. `io`: a write or fsync failed, and whether the record
/// survives is not known; the partition goes on in a new segment.
using Published = std::move_only_function<void(Result<Offset>)>;

/// Thread-safe.
class Producer {
 public:
  virtual ~Producer() = default;
  /// Appends one record. Records published by one thread to one partition keep their order.
  virtual void publish(Topic topic, PartitionId partition, Record record, Published done) = 0;
  /// Bytes taken but not yet durable: ingest slows its sockets by this.
  [[nodiscard]] virtual std::size_t queued_bytes() const = 0;
};

/// Reads one partition in order. One thread at a time. Must not outlive its bus.
class Reader {
 public:
  /// Afterwards `ready` is neither running nor called again.
  virtual ~Reader() = default;
  /// The next durable records, at most about `max_bytes` but at least one; empty at the end of the log. The tail comes
  /// from memory, sharing the very objects that were published. `corrupt` names segment and byte; `skip_damage` goes
  /// past it. `not_found`: retention overtook this reader; `seek` to what the message says is the first one kept.
  virtual Result<std::vector<Record>> read(std::size_t max_bytes) = 0;
  /// The offset of the record that `read` gives next.
  [[nodiscard]] virtual Offset position() const = 0;
  /// Goes to `offset`. `not_found` when retention has removed it; the message says the first one kept.
  /// `invalid_argument` beyond the end.
  virtual Result<> seek(Offset offset) = 0;
  /// Moves behind the damaged stretch that `read` reported; returns how many records were lost.
  virtual Result<std::uint64_t> skip_damage() = 0;
  /// Keeps `ready` and calls it when records beyond `position()` became durable: once after this call, then once after
  /// each `read` that returned nothing. From a thread of the log; at once, from the caller's, if there are some
  /// already. Must neither block nor destroy the reader: post onwards. An empty function ends it.
  virtual void on_ready(std::move_only_function<void()> ready) = 0;
};

struct PartitionInfo {
  Offset first;             ///< of the oldest record kept
  Offset end;               ///< one beyond the newest durable record
  std::uint64_t bytes = 0;  ///< on disk
};

/// Thread-safe.
class Bus {
 public:
  /// Takes nothing more, completes what was published before, then closes.
  virtual ~Bus() = default;
  [[nodiscard]] virtual std::size_t partition_count() const = 0;
  virtual Producer& producer() = 0;
  /// A reader that starts at `from` (or at the oldest record kept, where `from` is older than that).
  virtual Result<std::unique_ptr<Reader>> reader(Topic topic, PartitionId partition, Offset from) = 0;
  [[nodiscard]] virtual Result<PartitionInfo> info(Topic topic, PartitionId partition) const = 0;

  /// Durably remembers that `group` needs nothing before `next` of this partition, and everything from there on:
  /// retention keeps what any group still needs. A group counts from its first commit, which may be of offset 0.
  /// Called often; the embedded log writes it out with its next sync or within a second.
  virtual void commit(std::string_view group, Topic topic, PartitionId partition, Offset next) = 0;
  [[nodiscard]] virtual std::optional<Offset> committed(std::string_view group, Topic topic,
                                                        PartitionId partition) const = 0;
  /// Ends what `group` holds back from retention, in every topic: it will not come again.
  virtual void forget(std::string_view group) = 0;

  /// The origin of the newest durable record of a partition that has one: where a sink resumes.
  virtual Result<std::optional<Origin>> last_origin(Topic topic, PartitionId partition) = 0;
};

}  // namespace flux::bus
