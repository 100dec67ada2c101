#include "stream/channel.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cmath>

#include "core/hash.h"
#include "observe/json.h"

namespace flux::stream {
namespace {

constexpr Duration kForgetEvery{600'000'000'000};
constexpr std::size_t kForgetAbove = 1'024;  // devices

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
  std::uint32_t device = 0;
  std::string name;  // as JSON, with its colon
  std::vector<Point> points;
  std::uint64_t dropped = 0;        // points that decimation took since the last frame
  std::int64_t newest = INT64_MIN;  // of what has been sent or held
};

struct Channel::Device {
  std::string name;                  // as JSON
  std::vector<std::uint32_t> dirty;  // series with points, in the order of their first
};

struct Channel::Member {
  struct Held {
    Point point;
    std::string text;
    std::uint64_t missed = 0;
    bool snapshot = false;  // nobody has missed it when it is replaced
  };
  struct Backlog {
    boost::unordered_flat_map<std::uint32_t, Held> points;    // by series
    boost::unordered_flat_map<std::string, FramePtr> states;  // by device
    std::size_t bytes = 0;
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
  std::vector<std::int32_t> series;  // per field; -1: not wanted
};

struct Channel::Maps {
  boost::unordered_flat_map<const Shape*, Plan> plans;
  boost::unordered_flat_map<std::string, std::uint32_t, StringHash, std::equal_to<>> devices;
  boost::unordered_flat_map<std::string, std::uint32_t, StringHash, std::equal_to<>> series;  // device, NUL, metric
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

std::uint32_t Channel::device_slot(std::string_view device) {
  if (const auto at = maps_->devices.find(device); at != maps_->devices.end()) return at->second;
  const auto slot = static_cast<std::uint32_t>(devices_.size());
  observe::append_json_string(devices_.emplace_back().name, device);
  maps_->devices.emplace(device, slot);
  return slot;
}

std::uint32_t Channel::series_slot(std::uint32_t device, std::string_view metric) {
  std::string key = devices_[device].name;
  key += '\0';
  key += metric;
  if (const auto at = maps_->series.find(key); at != maps_->series.end()) return at->second;
  const auto slot = static_cast<std::uint32_t>(series_.size());
  Series& series = series_.emplace_back();
  series.device = device;
  observe::append_json_string(series.name, metric);
  series.name += ':';
  maps_->series.emplace(std::move(key), slot);
  return slot;
}

const Channel::Plan& Channel::plan_for(const ShapePtr& shape) {
  const auto at = maps_->plans.find(shape.get());
  if (at != maps_->plans.end()) return at->second;
  if (maps_->plans.size() > 1'024 + 8 * devices_.size()) maps_->plans.clear();
  Plan plan{.shape = shape};
  const std::uint32_t device = device_slot(shape->device());
  for (const FieldDef& field : shape->fields()) {
    plan.series.push_back(
        selector_.matches_metric(field.name) ? static_cast<std::int32_t>(series_slot(device, field.name)) : -1);
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

void Channel::push(Series& series, std::uint32_t index, Point point) {
  if (series.points.empty()) {
    Device& device = devices_[series.device];
    if (device.dirty.empty()) dirty_devices_.push_back(series.device);
    device.dirty.push_back(index);
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
  for (const std::uint32_t device : dirty_devices_) {
    for (const std::uint32_t index : devices_[device].dirty) {
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

void Channel::append_item(std::string& out, const Device& device) const {
  std::uint64_t dropped = 0;
  out += "{\"device\":";
  out += device.name;
  out += ",\"metrics\":{";
  for (std::size_t i = 0; i < device.dirty.size(); ++i) {
    const Series& series = series_[device.dirty[i]];
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
  if (dirty_devices_.empty()) return;
  struct Built {
    FramePtr frame;
    std::size_t first, last;  // of dirty_devices_
  };
  std::vector<Built> frames;
  const bool anybody = std::ranges::any_of(members_, [](const auto& m) { return !m->backlog && m->writable(); });
  for (std::size_t at = 0; anybody && at < dirty_devices_.size();) {
    auto frame = std::make_shared<Frame>();
    std::string& out = frame->rest;
    out = "\"data\":[";
    const std::size_t first = at;
    do {
      if (at != first) out += ',';
      append_item(out, devices_[dirty_devices_[at]]);
    } while (++at < dirty_devices_.size() && out.size() < config_.frame_bytes);
    out += "]}";
    metrics_.frames_built.add();
    frames.push_back({std::move(frame), first, at});
  }
  const Sending sending(*this);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Member& member = *members_[i];
    if (member.backlog) {
      fold(member, 0, dirty_devices_.size());
      drain(member);
      continue;
    }
    if (frames.empty()) fold(member, 0, dirty_devices_.size());
    for (const Built& built : frames) {
      if (!member.writable()) {
        fold(member, built.first, dirty_devices_.size());
        break;
      }
      give(member, built.frame);
    }
  }
  for (const std::uint32_t slot : dirty_devices_) {
    for (const std::uint32_t index : devices_[slot].dirty) {
      Series& series = series_[index];
      for (const Point& point : series.points) series.newest = std::max(series.newest, point.time);
      series.points.clear();
      series.dropped = 0;
    }
    devices_[slot].dirty.clear();
  }
  dirty_devices_.clear();
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
    if (!selector_.matches_metric(last.series->field)) continue;
    const std::uint32_t index = series_slot(device_slot(last.series->device), last.series->field);
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
    for (const std::uint32_t index : devices_[dirty_devices_[at]].dirty) {
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
    if (at != backlog.points.end()) at->second.missed += missed + 1;
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
  std::vector<std::uint32_t> order;
  order.reserve(backlog.points.size());
  for (const auto& [series, held] : backlog.points) order.push_back(series);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(series_[a].device, a) < std::pair(series_[b].device, b);
  });
  std::string& out = frame->rest;
  out = "\"data\":[";
  for (std::size_t at = 0; at < order.size() && out.size() < config_.frame_bytes;) {
    const std::uint32_t device = series_[order[at]].device;
    if (at != 0) out += ',';
    out += "{\"device\":";
    out += devices_[device].name;
    out += ",\"metrics\":{";
    std::uint64_t missed = 0;
    for (bool first = true; at < order.size() && series_[order[at]].device == device; ++at, first = false) {
      const auto held = backlog.points.find(order[at]);
      if (!first) out += ',';
      out += series_[order[at]].name;
      out += "[[";
      append_time(out, Time{held->second.point.time}, options_.times);
      out += ',';
      append_value(out, held->second.point.type, held->second.point.cell, held->second.text);
      out += "]]";
      missed += held->second.missed;
      Series& series = series_[order[at]];
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
  while (member.backlog && !(member.backlog->points.empty() && member.backlog->states.empty())) {
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
  if (now - forgotten_at_ < kForgetEvery) return;
  forgotten_at_ = now;
  if (devices_.size() < kForgetAbove || slow_members() != 0) return;
  *maps_ = Maps{};
  devices_.clear();
  series_.clear();
}

}  // namespace flux::stream
