#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/telemetry_batch.h"
#include "store/series/series_store.h"
#include "stream/config.h"
#include "stream/frame.h"
#include "stream/metrics.h"
#include "stream/selector.h"
#include "stream/subscriber.h"

namespace flux::stream {

/// All subscriptions of one shard that want the same in the same way. Collects points between two frames and builds
/// each frame once for all who keep up. Whoever does not gets frames of his own: the newest point of each series, and
/// how many he missed. So a channel keeps at most `points_per_frame` of a series, and a slow reader one.
///
/// On its shard, but for `selector`, `closed` and `miss`.
class Channel {
 public:
  Channel(Selector selector, Options options, std::size_t shard, const Config& config, Metrics& metrics);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] const Selector& selector() const { return selector_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] std::size_t shard() const { return shard_; }
  /// Nobody is left: what still comes is thrown away.
  [[nodiscard]] bool closed() const { return closed_.load(std::memory_order_relaxed); }

  void add_member(std::uint64_t key, Subscriber& subscriber, std::uint64_t id);
  /// True when it was the last; the channel is then closed.
  bool remove_member(std::uint64_t key);

  /// Takes the points of one group that the selection wants.
  void add(const TelemetryBatch& batch, const TelemetryBatch::Group& group);
  /// Any thread. Notes that nobody here will see this group; the next frame says so of its device, by `dropped`. True
  /// when the channel's shard has to be told: it was not since the last frame.
  bool miss(const TelemetryBatch& batch, const TelemetryBatch::Group& group);
  /// There is something for a frame.
  [[nodiscard]] bool has_news() const { return !dirty_items_.empty() || has_missed_.load(std::memory_order_relaxed); }
  /// Sends what was collected.
  void flush(Duration now);
  void send_state(std::string_view device, const FramePtr& frame);
  /// The newest values as of a moment ago, for one member; what has passed since wins.
  void send_snapshot(std::uint64_t key, const std::vector<store::LastPoint>& points);

  /// Tries those who were slow; true while some still are.
  bool drain_slow();
  [[nodiscard]] std::size_t slow_members() const;
  /// Roughly what is kept for slow members.
  [[nodiscard]] std::size_t backlog_bytes() const;

  Duration last_flush{INT64_MIN / 2};  ///< the hub's, for its schedule; long ago, however young the machine is
  bool scheduled = false;              ///< the same

 private:
  struct Point {
    std::int64_t time = 0;
    Cell cell = 0;
    ValueType type = ValueType::float64;
  };
  struct Series;
  struct Item;
  struct Member;
  struct Plan;
  struct Maps;

  std::uint32_t item_slot(std::string_view device, std::string_view measurement);
  std::uint32_t series_slot(std::uint32_t item, std::string_view metric);
  const Plan& plan_for(const ShapePtr& shape);
  Item& list(std::uint32_t slot);
  void take_missed();
  void push(Series& series, std::uint32_t index, Point point);
  void decimate(Series& series);
  void drop_texts();
  void append_item(std::string& out, const Item& item) const;
  void give(Member& member, const FramePtr& frame);
  void fold(Member& member, std::size_t first, std::size_t last);
  void hold(Member& member, std::uint32_t series, Point point, std::string_view text, std::uint64_t missed,
            bool snapshot);
  void drain(Member& member);
  FramePtr backlog_frame(Member& member);
  void forget_idle(Duration now);

  const Selector selector_;
  const Options options_;
  const std::size_t shard_;
  const Config& config_;
  Metrics& metrics_;
  std::atomic<bool> closed_{false};

  /// While frames are given out, members only go by losing their subscriber: `send` may end subscriptions.
  class Sending;
  std::vector<std::unique_ptr<Member>> members_;
  int sending_ = 0;
  std::vector<Item> items_;
  std::vector<Series> series_;
  std::unique_ptr<Maps> maps_;
  std::vector<std::uint32_t> dirty_items_;  // in the order of their first points
  std::string heap_;                        // texts of the points collected
  bool texts_full_ = false;                 // dropping old ones made little room: no more until the next frame
  std::optional<Duration> forgotten_at_;

  std::mutex missed_mutex_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> missed_;  // by device and measurement
  std::atomic<bool> has_missed_{false};
};
using ChannelPtr = std::shared_ptr<Channel>;

}  // namespace flux::stream
