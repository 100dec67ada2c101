#include "stream/channel.h"

#include <algorithm>
#include <bit>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cmath>
#include <map>
#include <utility>

#include "core/hash.h"
#include "observe/json.h"

namespace flux::stream {
namespace {

constexpr Duration kForgetEvery{600'000'000'000};
constexpr std::size_t kForgetAbove = 1'024;  // items
/// What JSON readings belong to; frames do not name it.
constexpr std::string_view kPlainMeasurement = "telemetry";

double number_of(ValueType type, Cell cell) {
  switch (type) {
    case ValueType::float64: return as_float64(cell);
    case ValueType::int64: return static_cast<double>(as_int64(cell));
    case ValueType::uint64: return static_cast<double>(cell);
    case ValueType::boolean:
    case ValueType::string: return 0;
  }
  return 0;
}

}  // namespace

struct Channel::Series {
  std::uint32_t item = 0;
  std::string name;  // as JSON, with its colon
  std::vector<Point> points;
  std::uint64_t dropped = 0;        // points that decimation took since the last frame
  std::int64_t newest = INT64_MIN;  // of what has been sent or held
};

/// What a frame tells of one device and measurement.
struct Channel::Item {
  std::string head;                  // `{"device":"pump-1","metrics":{`
  std::vector<std::uint32_t> dirty;  // series with points, in the order of their first
  std::uint64_t missed = 0;          // readings that never came to a series
  bool listed = false;               // stands in `dirty_items_`
};

struct Channel::Member {
  struct Held {
    Point point;
    std::string text;
    std::uint64_t missed = 0;
    bool snapshot = false;  // nobody has missed it when it is replaced
  };
  struct Backlog {
    boost::unordered_flat_map<std::uint32_t, Held> points;           // by series
    boost::unordered_flat_map<std::uint32_t, std::uint64_t> missed;  // by item: readings that no point tells of
    boost::unordered_flat_map<std::string, FramePtr> states;         // by device
    std::size_t bytes = 0;
    [[nodiscard]] bool empty() const { return points.empty() && missed.empty() && states.empty(); }
  };
  std::uint64_t key = 0;
  Subscriber* subscriber = nullptr;  // null: has gone
  std::uint64_t id = 0;
  std::unique_ptr<Backlog> backlog;  // null: keeps up

  [[nodiscard]] bool writable() const { return subscriber != nullptr && subscriber->writable(); }

  Backlog& slow() {
    if (!backlog) backlog = std::make_unique<Backlog>();
    return *backlog;
  }
};

class Channel::Sending {
 public:
  explicit Sending(Channel& channel) : channel_(channel) { ++channel_.sending_; }
  Sending(const Sending&) = delete;
  Sending& operator=(const Sending&) = delete;
  ~Sending() {
    if (--channel_.sending_ == 0)
      std::erase_if(channel_.members_, [](const auto& m) { return m->subscriber == nullptr; });
  }

 private:
  Channel& channel_;
};

struct Channel::Plan {
  ShapePtr shape;
  std::uint32_t item = 0;
  std::vector<std::int32_t> series;  // per field; -1: not wanted
};

struct Channel::Maps {
  boost::unordered_flat_map<const Shape*, Plan> plans;
  boost::unordered_flat_map<std::string, std::uint32_t, StringHash, std::equal_to<>> items;   // by their head
  boost::unordered_flat_map<std::string, std::uint32_t, StringHash, std::equal_to<>> series;  // head, NUL, metric
};

Channel::Channel(Selector selector, Options options, std::size_t shard, const Config& config, Metrics& metrics)
    : selector_(std::move(selector)),
      options_(options),
      shard_(shard),
      config_(config),
      metrics_(metrics),
      maps_(std::make_unique<Maps>()) {}

Channel::~Channel() = default;

void Channel::add_member(std::uint64_t key, Subscriber& subscriber, std::uint64_t id) {
  auto member = std::make_unique<Member>();
  member->key = key;
  member->subscriber = &subscriber;
  member->id = id;
  members_.push_back(std::move(member));
}

bool Channel::remove_member(std::uint64_t key) {
  const Sending sending(*this);
  for (const auto& member : members_) {
    if (member->key != key) continue;
    member->subscriber = nullptr;
    member->backlog.reset();
  }
  if (std::ranges::any_of(members_, [](const auto& member) { return member->subscriber != nullptr; })) return false;
  closed_.store(true, std::memory_order_relaxed);
  return true;
}

// --- collecting ----------------------------------------------------------------------------------------------------

std::uint32_t Channel::item_slot(std::string_view device, std::string_view measurement) {
  std::string head = "{\"device\":";
  observe::append_json_string(head, device);
  if (measurement != kPlainMeasurement) {
    head += ",\"measurement\":";
    observe::append_json_string(head, measurement);
  }
  head += ",\"metrics\":{";
  if (const auto at = maps_->items.find(head); at != maps_->items.end()) return at->second;
  const auto slot = static_cast<std::uint32_t>(items_.size());
  maps_->items.emplace(head, slot);
  items_.emplace_back().head = std::move(head);
  return slot;
}

std::uint32_t Channel::series_slot(std::uint32_t item, std::string_view metric) {
  std::string key = items_[item].head;
  key += '\0';
  key += metric;
  if (const auto at = maps_->series.find(key); at != maps_->series.end()) return at->second;
  const auto slot = static_cast<std::uint32_t>(series_.size());
  Series& series = series_.emplace_back();
  series.item = item;
  observe::append_json_string(series.name, metric);
  series.name += ':';
  maps_->series.emplace(std::move(key), slot);
  return slot;
}

const Channel::Plan& Channel::plan_for(const ShapePtr& shape) {
  const auto at = maps_->plans.find(shape.get());
  if (at != maps_->plans.end()) return at->second;
  if (maps_->plans.size() > 1'024 + 8 * items_.size()) maps_->plans.clear();
  Plan plan{.shape = shape};
  plan.item = item_slot(shape->device(), shape->key().measurement);
  for (const FieldDef& field : shape->fields()) {
    plan.series.push_back(
        selector_.matches_metric(field.name) ? static_cast<std::int32_t>(series_slot(plan.item, field.name)) : -1);
  }
  return maps_->plans.emplace(shape.get(), std::move(plan)).first->second;
}

void Channel::add(const TelemetryBatch& batch, const TelemetryBatch::Group& group) {
  const Plan& plan = plan_for(group.shape_ptr());
  const auto times = batch.times(group);
  std::uint64_t taken = 0;
  for (std::size_t field = 0; field < plan.series.size(); ++field) {
    if (plan.series[field] < 0) continue;
    const auto index = static_cast<std::uint32_t>(plan.series[field]);
    const ValueType type = group.shape().fields()[field].type;
    const auto cells = batch.column(group, field);
    Series& series = series_[index];
    for (std::size_t row = 0; row < cells.size(); ++row) {
      if (!batch.has(group, field, row)) continue;
      Cell cell = cells[row];
      if (type == ValueType::string) {
        const std::string_view text = batch.string(cell);
        if (heap_.size() + text.size() > config_.backlog && !texts_full_) drop_texts();
        if (heap_.size() + text.size() > config_.backlog) {
          metrics_.dropped_backlog.add();
          list(plan.item).missed += 1;
          continue;
        }
        cell = to_cell(StringRef{static_cast<std::uint32_t>(heap_.size()), static_cast<std::uint32_t>(text.size())});
        heap_ += text;
      }
      push(series, index, {times[row], cell, type});
      ++taken;
    }
  }
  metrics_.points.add(taken);
}

Channel::Item& Channel::list(std::uint32_t slot) {
  Item& item = items_[slot];
  if (!item.listed) dirty_items_.push_back(slot);
  item.listed = true;
  return item;
}

bool Channel::miss(const TelemetryBatch& batch, const TelemetryBatch::Group& group) {
  const Shape& shape = group.shape();
  std::uint64_t count = 0;
  for (std::size_t field = 0; field < shape.field_count(); ++field) {
    if (!selector_.matches_metric(shape.fields()[field].name)) continue;
    const auto validity = batch.validity(group, field);
    if (validity.empty()) count += group.rows();
    for (const std::uint64_t word : validity) count += static_cast<std::uint64_t>(std::popcount(word));
  }
  if (count == 0) return false;
  const std::lock_guard lock(missed_mutex_);
  missed_[{shape.device(), shape.key().measurement}] += count;
  return !has_missed_.exchange(true, std::memory_order_relaxed);
}

void Channel::take_missed() {
  if (!has_missed_.load(std::memory_order_relaxed)) return;
  decltype(missed_) missed;
  {
    const std::lock_guard lock(missed_mutex_);
    missed.swap(missed_);
    has_missed_.store(false, std::memory_order_relaxed);
  }
  for (const auto& [of, count] : missed) list(item_slot(of.first, of.second)).missed += count;
}

void Channel::push(Series& series, std::uint32_t index, Point point) {
  if (series.points.empty()) {
    list(series.item).dirty.push_back(index);
  } else if (series.points.size() >= config_.points_per_frame) {
    decimate(series);
  }
  series.points.push_back(point);
}

/// Halves the points and keeps their look: of every four the least and the greatest, in their order.
void Channel::decimate(Series& series) {
  std::vector<Point>& points = series.points;
  std::size_t kept = 0;
  std::size_t at = 0;
  for (; at + 4 <= points.size(); at += 4) {
    std::size_t least = at;
    std::size_t greatest = at;
    for (std::size_t i = at + 1; i < at + 4; ++i) {
      const double value = number_of(points[i].type, points[i].cell);
      if (value < number_of(points[least].type, points[least].cell)) least = i;
      if (value > number_of(points[greatest].type, points[greatest].cell)) greatest = i;
    }
    // Equal values, texts: the first and the last of the four.
    if (least == greatest) {
      least = at;
      greatest = at + 3;
    }
    const Point first = points[std::min(least, greatest)];
    const Point second = points[std::max(least, greatest)];
    points[kept++] = first;
    points[kept++] = second;
  }
  for (; at < points.size(); ++at) points[kept++] = points[at];
  metrics_.decimated.add(points.size() - kept);
  series.dropped += points.size() - kept;
  points.resize(kept);
}

/// Keeps the newest text of each series.
void Channel::drop_texts() {
  std::string kept;
  for (const std::uint32_t device : dirty_items_) {
    for (const std::uint32_t index : items_[device].dirty) {
      Series& series = series_[index];
      const auto last = std::ranges::find_if(series.points.rbegin(), series.points.rend(),
                                             [](const Point& point) { return point.type == ValueType::string; });
      if (last == series.points.rend()) continue;
      Point newest = *last;
      const StringRef ref = as_string_ref(newest.cell);
      newest.cell = to_cell(StringRef{static_cast<std::uint32_t>(kept.size()), ref.length});
      kept += std::string_view(heap_).substr(ref.offset, ref.length);
      const std::size_t before = series.points.size();
      std::erase_if(series.points, [](const Point& point) { return point.type == ValueType::string; });
      series.points.push_back(newest);
      series.dropped += before - series.points.size();
      metrics_.decimated.add(before - series.points.size());
    }
  }
  heap_ = std::move(kept);
  texts_full_ = heap_.size() > config_.backlog / 2;  // trying again with each text would gain little and cost much
}

// --- sending -------------------------------------------------------------------------------------------------------

void Channel::append_item(std::string& out, const Item& item) const {
  std::uint64_t dropped = item.missed;
  out += item.head;
  for (std::size_t i = 0; i < item.dirty.size(); ++i) {
    const Series& series = series_[item.dirty[i]];
    if (i != 0) out += ',';
    out += series.name;
    char separator = '[';
    for (const Point& point : series.points) {
      out += separator;
      out += '[';
      append_time(out, Time{point.time}, options_.times);
      out += ',';
      std::string_view text;
      if (point.type == ValueType::string) {
        const StringRef ref = as_string_ref(point.cell);
        text = std::string_view(heap_).substr(ref.offset, ref.length);
      }
      append_value(out, point.type, point.cell, text);
      out += ']';
      separator = ',';
    }
    out += ']';
    dropped += series.dropped;
  }
  out += '}';
  if (dropped != 0) {
    out += ",\"dropped\":";
    out += std::to_string(dropped);
  }
  out += '}';
}

void Channel::flush(Duration now) {
  last_flush = now;
  take_missed();
  if (dirty_items_.empty()) return;
  struct Built {
    FramePtr frame;
    std::size_t first, last;  // of dirty_items_
  };
  std::vector<Built> frames;
  const bool anybody = std::ranges::any_of(members_, [](const auto& m) { return !m->backlog && m->writable(); });
  for (std::size_t at = 0; anybody && at < dirty_items_.size();) {
    auto frame = std::make_shared<Frame>();
    std::string& out = frame->rest;
    out = "\"data\":[";
    const std::size_t first = at;
    do {
      if (at != first) out += ',';
      append_item(out, items_[dirty_items_[at]]);
    } while (++at < dirty_items_.size() && out.size() < config_.frame_bytes);
    out += "]}";
    metrics_.frames_built.add();
    frames.push_back({std::move(frame), first, at});
  }
  const Sending sending(*this);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Member& member = *members_[i];
    if (member.backlog) {
      fold(member, 0, dirty_items_.size());
      drain(member);
      continue;
    }
    if (frames.empty()) fold(member, 0, dirty_items_.size());
    for (const Built& built : frames) {
      if (!member.writable()) {
        fold(member, built.first, dirty_items_.size());
        break;
      }
      give(member, built.frame);
    }
  }
  for (const std::uint32_t slot : dirty_items_) {
    for (const std::uint32_t index : items_[slot].dirty) {
      Series& series = series_[index];
      for (const Point& point : series.points) series.newest = std::max(series.newest, point.time);
      series.points.clear();
      series.dropped = 0;
    }
    items_[slot].dirty.clear();
    items_[slot].missed = 0;
    items_[slot].listed = false;
  }
  dirty_items_.clear();
  heap_.clear();
  texts_full_ = false;
  forget_idle(now);
}

void Channel::send_state(std::string_view device, const FramePtr& frame) {
  const Sending sending(*this);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Member& member = *members_[i];
    if (member.subscriber == nullptr) continue;
    if (!member.backlog && member.writable()) {
      give(member, frame);
      continue;
    }
    Member::Backlog& backlog = member.slow();
    if (const auto at = backlog.states.find(std::string(device)); at != backlog.states.end()) {
      at->second = frame;
    } else if (backlog.bytes + frame->rest.size() <= config_.backlog) {
      backlog.bytes += frame->rest.size();
      backlog.states.emplace(device, frame);
    } else {
      metrics_.dropped_backlog.add();
    }
  }
}

void Channel::send_snapshot(std::uint64_t key, const std::vector<store::LastPoint>& points) {
  const Sending sending(*this);
  const auto found = std::ranges::find_if(members_, [&](const auto& member) { return member->key == key; });
  if (found == members_.end()) return;
  Member& member = **found;
  for (const store::LastPoint& last : points) {
    if (!selector_.matches_metric(last.series->field) || !selector_.matches_measurement(last.series->measurement))
      continue;
    const std::uint32_t item = item_slot(last.series->device, last.series->measurement);
    const std::uint32_t index = series_slot(item, last.series->field);
    if (last.time.ns <= series_[index].newest) continue;
    Point point{last.time.ns, 0, type_of(last.value)};
    std::string_view text;
    if (const auto* string = std::get_if<std::string>(&last.value)) text = *string;
    else
      point.cell = std::visit(
          [](const auto& value) -> Cell {
            if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) return 0;
            else return to_cell(value);
          },
          last.value);
    hold(member, index, point, text, 0, true);
  }
  if (member.backlog) drain(member);
}

// --- those who do not keep up --------------------------------------------------------------------------------------

void Channel::give(Member& member, const FramePtr& frame) {
  metrics_.frames_sent.add();
  metrics_.frame_bytes.add(frame->rest.size());
  member.subscriber->send(member.id, frame);
}

void Channel::fold(Member& member, std::size_t first, std::size_t last) {
  if (member.subscriber == nullptr) return;
  for (std::size_t at = first; at < last; ++at) {
    const Item& item = items_[dirty_items_[at]];
    if (item.missed != 0) member.slow().missed[dirty_items_[at]] += item.missed;
    for (const std::uint32_t index : item.dirty) {
      const Series& series = series_[index];
      const Point* newest = &series.points.front();
      for (const Point& point : series.points)
        if (point.time >= newest->time) newest = &point;
      std::string_view text;
      if (newest->type == ValueType::string) {
        const StringRef ref = as_string_ref(newest->cell);
        text = std::string_view(heap_).substr(ref.offset, ref.length);
      }
      hold(member, index, *newest, text, series.points.size() - 1 + series.dropped, false);
    }
  }
}

void Channel::hold(Member& member, std::uint32_t series, Point point, std::string_view text, std::uint64_t missed,
                   bool snapshot) {
  Member::Backlog& backlog = member.slow();
  if (missed != 0) metrics_.conflated.add(missed);
  auto at = backlog.points.find(series);
  const std::size_t old_text = at == backlog.points.end() ? 0 : at->second.text.size();
  const std::size_t old_bytes = at == backlog.points.end() ? 0 : sizeof(Member::Held) + old_text;
  if (backlog.bytes - old_bytes + sizeof(Member::Held) + text.size() > config_.backlog) {
    metrics_.dropped_backlog.add();
    missed += snapshot ? 0 : 1;
    if (at != backlog.points.end()) at->second.missed += missed;
    else if (missed != 0) backlog.missed[series_[series].item] += missed;
    return;
  }
  if (at == backlog.points.end()) {
    at = backlog.points.emplace(series, Member::Held{}).first;
    at->second.missed = missed;
  } else {
    Member::Held& held = at->second;
    held.missed += missed;
    if (!snapshot && !held.snapshot) {
      ++held.missed;
      metrics_.conflated.add();
    }
    if (held.point.time > point.time) return;
  }
  backlog.bytes += sizeof(Member::Held) + text.size() - old_bytes;
  at->second.point = point;
  at->second.text = text;
  at->second.snapshot = snapshot;
}

FramePtr Channel::backlog_frame(Member& member) {
  Member::Backlog& backlog = *member.backlog;
  auto frame = std::make_shared<Frame>();
  if (!backlog.states.empty()) {
    const auto first = backlog.states.begin();
    backlog.bytes -= std::min(backlog.bytes, first->second->rest.size());
    FramePtr state = first->second;
    backlog.states.erase(first);
    return state;
  }
  std::map<std::uint32_t, std::vector<std::uint32_t>> items;  // with their series
  for (const auto& [series, held] : backlog.points) items[series_[series].item].push_back(series);
  for (const auto& [item, missed] : backlog.missed) items[item];
  std::string& out = frame->rest;
  out = "\"data\":[";
  bool first_item = true;
  for (auto& [item, held_series] : items) {
    if (out.size() >= config_.frame_bytes) break;
    if (!std::exchange(first_item, false)) out += ',';
    out += items_[item].head;
    std::uint64_t missed = 0;
    if (const auto at = backlog.missed.find(item); at != backlog.missed.end()) {
      missed = at->second;
      backlog.missed.erase(at);
    }
    std::ranges::sort(held_series);
    bool first = true;
    for (const std::uint32_t index : held_series) {
      const auto held = backlog.points.find(index);
      Series& series = series_[index];
      if (!std::exchange(first, false)) out += ',';
      out += series.name;
      out += "[[";
      append_time(out, Time{held->second.point.time}, options_.times);
      out += ',';
      append_value(out, held->second.point.type, held->second.point.cell, held->second.text);
      out += "]]";
      missed += held->second.missed;
      series.newest = std::max(series.newest, held->second.point.time);
      backlog.bytes -= std::min(backlog.bytes, sizeof(Member::Held) + held->second.text.size());
      backlog.points.erase(held);
    }
    out += '}';
    if (missed != 0) {
      out += ",\"dropped\":";
      out += std::to_string(missed);
    }
    out += '}';
  }
  out += "]}";
  metrics_.frames_built.add();
  return frame;
}

void Channel::drain(Member& member) {
  while (member.backlog && !member.backlog->empty()) {
    if (!member.writable()) return;
    give(member, backlog_frame(member));
  }
  member.backlog.reset();
}

bool Channel::drain_slow() {
  const Sending sending(*this);
  bool slow = false;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Member& member = *members_[i];
    if (!member.backlog) continue;
    drain(member);
    slow |= member.backlog != nullptr;
  }
  return slow;
}

std::size_t Channel::slow_members() const {
  return static_cast<std::size_t>(std::ranges::count_if(members_, [](const auto& m) { return m->backlog != nullptr; }));
}

std::size_t Channel::backlog_bytes() const {
  std::size_t bytes = 0;
  for (const auto& member : members_) bytes += member->backlog ? member->backlog->bytes : 0;
  return bytes;
}

/// Series that have gone would stay for ever otherwise.
void Channel::forget_idle(Duration now) {
  if (forgotten_at_ && now - *forgotten_at_ < kForgetEvery) return;
  const bool first = !forgotten_at_;
  forgotten_at_ = now;
  if (first) return;
  if (items_.size() < kForgetAbove || slow_members() != 0) return;
  *maps_ = Maps{};
  items_.clear();
  series_.clear();
}

}  // namespace flux::stream
