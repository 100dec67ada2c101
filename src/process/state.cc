#include "process/state.h"

#include <algorithm>

#include "core/hash.h"
#include "wire/control/packing.h"

namespace flux::process {
namespace {

using wire::control::Packer;
using wire::control::Unpacker;

constexpr std::uint8_t kFormat = 2;
/// From a reading's admission to its record's place in the log it takes milliseconds; a clock may be set back a little.
constexpr Duration kUnderWay = 2_s;

std::vector<Tag> merged(const std::vector<Tag>& under, const std::vector<Tag>& over) {
  std::vector<Tag> all = over;
  for (const Tag& tag : under) {
    if (std::ranges::none_of(over, [&](const Tag& own) { return own.key == tag.key; })) all.push_back(tag);
  }
  std::ranges::sort(all, {}, &Tag::key);
  return all;
}

std::int64_t plus(std::int64_t time, std::int64_t duration) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(time, duration, &sum)) return duration < 0 ? INT64_MIN : INT64_MAX;
  return sum;
}

}  // namespace

std::size_t PartitionState::DeviceKeyHash::operator()(const DeviceKey& key) const noexcept {
  return hash64(key.id, key.tenant.value);
}

std::size_t PartitionState::MetricsHash::operator()(const KnownMetricsPtr& metrics) const noexcept {
  std::size_t hash = metrics->size();
  for (const KnownMetric& metric : *metrics)
    hash = hash64(metric.field, hash64(metric.measurement, hash + static_cast<std::size_t>(metric.type)));
  return hash;
}

PartitionState::PartitionState(PartitionId partition, std::size_t partitions)
    : partition_(partition), partitions_(partitions), no_metrics_(std::make_shared<const KnownMetrics>()) {
  CHECK(partition.value < partitions && partitions <= kBucketCount);
}

DeviceStatePtr PartitionState::find(TenantId tenant, std::string_view device) const {
  const auto& devices = buckets_[bucket_of(tenant, device).value].devices;
  const auto at = devices.find({tenant, device});
  return at == devices.end() ? nullptr : at->second;
}

DeviceStatePtr PartitionState::ensure(TenantId tenant, std::string_view device) {
  const BucketId bucket = bucket_of(tenant, device);
  auto& devices = buckets_[bucket.value].devices;
  if (const auto at = devices.find({tenant, device}); at != devices.end()) return at->second;
  auto state = std::make_shared<DeviceState>();
  state->tenant = tenant;
  state->id = device;
  state->bucket = bucket;
  state->metrics = no_metrics_;
  derive(*state);
  devices.emplace(DeviceKey{tenant, state->id}, state);
  ++device_count_;
  return state;
}

std::optional<Time> PartitionState::removed_around(TenantId tenant, std::string_view device, Time arrival) const {
  if (removed_count_ == 0) return std::nullopt;
  const auto& removed = buckets_[bucket_of(tenant, device).value].removed;
  const auto at = removed.find({tenant, std::string(device)});
  if (at == removed.end() || arrival.ns > plus(at->second.ns, kUnderWay.ns)) return std::nullopt;
  return at->second;
}

void PartitionState::for_each(const std::function<void(const DeviceStatePtr&)>& visit) const {
  for (const Bucket& bucket : buckets_)
    for (const auto& [key, device] : bucket.devices) visit(device);
}

KnownMetricsPtr PartitionState::intern(KnownMetrics metrics) {
  if (metrics.empty()) return no_metrics_;
  // Sets that nobody uses any more pile up as devices grow field by field.
  if (interned_.size() > 64 && interned_.size() > 2 * device_count_ + 64)
    std::erase_if(interned_, [](const KnownMetricsPtr& held) { return held.use_count() == 1; });
  return *interned_.insert(std::make_shared<const KnownMetrics>(std::move(metrics))).first;
}

// --- changes -------------------------------------------------------------------------------------------------------

bool PartitionState::apply(const ProfileChanged& change) {
  if (change.version != 0 && change.version <= profiles_version_) return false;
  profiles_version_ = std::max(profiles_version_, change.version);
  profiles_[{change.tenant.value, change.profile}] = std::make_shared<const ProfileChanged>(change);
  derive_all([&](const DeviceState& device) {
    return device.settings && device.tenant == change.tenant && device.settings->profile == change.profile;
  });
  return true;
}

bool PartitionState::apply(const wire::control::ProfileRemoved& change) {
  if (change.version != 0 && change.version <= profiles_version_) return false;
  profiles_version_ = std::max(profiles_version_, change.version);
  profiles_.erase({change.tenant.value, change.profile});
  derive_all([&](const DeviceState& device) {
    return device.settings && device.tenant == change.tenant && device.settings->profile == change.profile;
  });
  return true;
}

bool PartitionState::apply(const DeviceChanged& change) {
  Bucket& bucket = buckets_[bucket_of(change.tenant, change.device).value];
  if (change.version != 0 && change.version <= bucket.version) return false;
  bucket.version = std::max(bucket.version, change.version);
  removed_count_ -= bucket.removed.erase({change.tenant, change.device});
  const DeviceStatePtr device = ensure(change.tenant, change.device);
  auto settings = std::make_shared<DeviceChanged>(change);
  std::ranges::sort(settings->labels, {}, &Tag::key);
  std::ranges::sort(settings->units);
  device->settings = std::move(settings);
  derive(*device);
  arm(device);
  return true;
}

bool PartitionState::apply(const wire::control::DeviceRemoved& change) {
  Bucket& bucket = buckets_[bucket_of(change.tenant, change.device).value];
  if (change.version != 0 && change.version <= bucket.version) return false;
  bucket.version = std::max(bucket.version, change.version);
  // Whoever was removed long before this one has nothing under way any more.
  removed_count_ -= std::erase_if(
      bucket.removed, [&](const auto& item) { return plus(item.second.ns, kUnderWay.ns) < change.removed_at.ns; });
  removed_count_ += bucket.removed.insert_or_assign({change.tenant, change.device}, change.removed_at).second ? 1 : 0;
  const auto at = bucket.devices.find({change.tenant, change.device});
  if (at == bucket.devices.end()) return true;
  const DeviceStatePtr device = at->second;  // its id is what the key looks into
  bucket.devices.erase(at);
  device->removed = true;
  ++device->epoch;
  --device_count_;
  return true;
}

bool PartitionState::apply(const wire::control::EraseReadings& change) {
  if (change.version != 0 && change.version <= erase_version_) return false;
  erase_version_ = std::max(erase_version_, change.version);
  return true;
}

void PartitionState::apply(const RulesChanged& change) {
  if (rules_ == change) return;
  rules_ = change;
  derive_all([](const DeviceState&) { return true; });
}

void PartitionState::derive(DeviceState& device) {
  auto context = std::make_shared<wire::DeviceContext>();
  context->tenant = device.tenant;
  context->device = device.id;
  device.profile = nullptr;
  if (device.settings) {
    const DeviceChanged& settings = *device.settings;
    context->name = settings.name;
    context->profile = settings.profile;
    context->location = settings.location;
    context->labels = settings.labels;
    context->units = settings.units;
    const auto found = profiles_.find({device.tenant.value, settings.profile});
    if (found != profiles_.end()) {
      device.profile = found->second;
      context->labels = merged(device.profile->labels, settings.labels);
      for (const auto& rule : device.profile->metrics) {
        if (!rule.unit.empty() &&
            std::ranges::none_of(settings.units, [&](const auto& own) { return own.first == rule.name; }))
          context->units.emplace_back(rule.name, rule.unit);
      }
      std::ranges::sort(context->units);
    }
  }
  device.silent_after =
      device.profile ? device.profile->silent_after.value_or(rules_.silent_after) : rules_.silent_after;
  device.context = std::move(context);
  ++device.epoch;
}

void PartitionState::derive_all(const std::function<bool(const DeviceState&)>& concerned) {
  for_each([&](const DeviceStatePtr& device) {
    if (!concerned(*device)) return;
    derive(*device);
    arm(device);
  });
}

// --- hearing, and silence ------------------------------------------------------------------------------------------

bool PartitionState::heard(const DeviceStatePtr& device, Time arrival) {
  device->last_arrival = std::max(device->last_arrival, arrival);
  const bool was_silent = device->silent;
  device->silent = false;
  // A timer that stands is left alone: when it comes up, it is moved to where it belongs by then.
  if (device->timer == INT64_MAX) arm(device);
  return was_silent;
}

void PartitionState::seen_event(DeviceState& device, Time event) {
  device.last_event = std::max(device.last_event, event);
  Time& watermark = buckets_[device.bucket.value].watermark;
  watermark = std::max(watermark, event);
}

std::optional<std::int64_t> PartitionState::deadline(const DeviceState& device, Time listening_since) const {
  if (device.removed || device.silent || device.silent_after.ns <= 0 || device.last_arrival == Time::min())
    return std::nullopt;
  return plus(std::max(device.last_arrival.ns, listening_since.ns), device.silent_after.ns);
}

void PartitionState::arm(const DeviceStatePtr& device) {
  const auto due = deadline(*device, listening_since_);
  if (!due || *due >= device->timer) return;
  device->timer = *due;
  timers_.push({*due, device});
}

const PartitionState::TimerEntry* PartitionState::settle_timers(Time listening_since) {
  while (!timers_.empty()) {
    const TimerEntry& first = timers_.top();
    if (first.device->timer != first.deadline) {  // another entry of this device counts
      timers_.pop();
      continue;
    }
    const auto due = deadline(*first.device, listening_since);
    if (due && *due <= first.deadline) return &first;
    const DeviceStatePtr device = first.device;
    timers_.pop();
    device->timer = due.value_or(INT64_MAX);
    if (due) timers_.push({*due, device});
  }
  return nullptr;
}

std::vector<DeviceStatePtr> PartitionState::tick(const wire::control::Tick& tick) {
  clock_ = std::max(clock_, tick.time);
  listening_since_ = std::max(listening_since_, tick.listening_since);
  std::vector<DeviceStatePtr> due;
  for (const TimerEntry* first = settle_timers(listening_since_); first != nullptr && first->deadline <= clock_.ns;
       first = settle_timers(listening_since_)) {
    const DeviceStatePtr device = first->device;
    timers_.pop();
    device->timer = INT64_MAX;
    device->silent = true;
    due.push_back(device);
  }
  // The order of timers depends on their past, which a restart forgets.
  std::ranges::sort(due, [](const DeviceStatePtr& a, const DeviceStatePtr& b) {
    return std::tie(a->tenant, a->id) < std::tie(b->tenant, b->id);
  });
  return due;
}

Time PartitionState::next_due(Time listening_since) {
  const TimerEntry* first = settle_timers(std::max(listening_since, listening_since_));
  return first == nullptr ? Time::max() : Time{first->deadline};
}

Time PartitionState::watermark() const {
  Time greatest = Time::min();
  for (const Bucket& bucket : buckets_) greatest = std::max(greatest, bucket.watermark);
  return greatest;
}

// --- bytes ---------------------------------------------------------------------------------------------------------

void PartitionState::put_bucket(Packer& out, std::size_t index) const {
  const Bucket& bucket = buckets_[index];
  std::vector<const DeviceState*> devices;
  devices.reserve(bucket.devices.size());
  for (const auto& [key, device] : bucket.devices) devices.push_back(device.get());
  std::ranges::sort(devices, [](const DeviceState* a, const DeviceState* b) {
    return std::tie(a->tenant, a->id) < std::tie(b->tenant, b->id);
  });
  out.byte(static_cast<std::uint8_t>(index));
  out.number(bucket.version);
  out.integer(bucket.watermark.ns);
  out.number(bucket.removed.size());
  for (const auto& [key, time] : bucket.removed) {
    out.number(key.first.value);
    out.text(key.second);
    out.integer(time.ns);
  }
  out.number(devices.size());
  std::unordered_map<const KnownMetrics*, std::size_t> lists;
  for (const DeviceState* device : devices) {
    out.number(device->tenant.value);
    out.text(device->id);
    out.text(device->settings ? wire::control::encode(*device->settings) : std::string());
    out.integer(device->last_event.ns);
    out.integer(device->last_arrival.ns);
    out.boolean(device->silent);
    const auto [list, is_new] = lists.try_emplace(device->metrics.get(), lists.size());
    out.number(list->second);
    if (!is_new) continue;
    out.number(device->metrics->size());
    for (const KnownMetric& metric : *device->metrics) {
      out.text(metric.measurement);
      out.text(metric.field);
      out.byte(static_cast<std::uint8_t>(metric.type));
    }
  }
}

bool PartitionState::get_bucket(Unpacker& in) {
  const std::uint8_t index = in.byte();
  Bucket& bucket = buckets_[index];
  if (!in.ok() || !bucket.devices.empty() || !bucket.removed.empty()) return false;
  bucket.version = in.number();
  bucket.watermark.ns = in.integer();
  const std::size_t removed = in.count(3);
  for (std::size_t i = 0; i < removed && in.ok(); ++i) {
    const TenantId tenant{in.number32()};
    const std::string id(in.text());
    const Time time{in.integer()};
    if (!in.ok() || bucket_of(tenant, id) != BucketId{index}) return false;
    if (!bucket.removed.emplace(std::pair(tenant, id), time).second) return false;
    ++removed_count_;
  }
  const std::size_t devices = in.count(8);
  std::vector<KnownMetricsPtr> lists;
  for (std::size_t i = 0; i < devices && in.ok(); ++i) {
    const TenantId tenant{in.number32()};
    const std::string_view id = in.text();
    if (!in.ok() || bucket_of(tenant, id) != BucketId{index} || find(tenant, id)) return false;
    const DeviceStatePtr device = ensure(tenant, id);
    if (const std::string_view settings = in.text(); !settings.empty()) {
      auto record = wire::control::decode(settings);
      if (!record || !std::holds_alternative<DeviceChanged>(*record)) return false;
      device->settings = std::make_shared<const DeviceChanged>(std::get<DeviceChanged>(*std::move(record)));
    }
    device->last_event.ns = in.integer();
    device->last_arrival.ns = in.integer();
    device->silent = in.boolean();
    const std::uint64_t list = in.number();
    if (list > lists.size()) return false;
    if (list == lists.size()) {
      KnownMetrics metrics(in.count(3));
      for (KnownMetric& metric : metrics) {
        metric.measurement = in.text();
        metric.field = in.text();
        metric.type = static_cast<ValueType>(in.byte());
      }
      lists.push_back(intern(std::move(metrics)));
    }
    device->metrics = lists[list];
    derive(*device);
    arm(device);
  }
  return in.ok();
}

std::string PartitionState::save() const {
  Packer out;
  out.byte(kFormat);
  out.number(profiles_version_);
  out.number(erase_version_);
  out.integer(clock_.ns);
  out.integer(listening_since_.ns);
  out.text(wire::control::encode(rules_));
  out.number(profiles_.size());
  for (const auto& [key, profile] : profiles_) out.text(wire::control::encode(*profile));
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < kBucketCount; ++i)
    if (buckets_[i].version != 0 || !buckets_[i].devices.empty() || !buckets_[i].removed.empty() ||
        buckets_[i].watermark != Time::min())
      used.push_back(i);
  out.number(used.size());
  for (const std::size_t index : used) put_bucket(out, index);
  return out.take();
}

void PartitionState::clear() {
  const PartitionId partition = partition_;
  const std::size_t partitions = partitions_;
  *this = PartitionState(partition, partitions);
}

Result<> PartitionState::load(std::string_view bytes) {
  clear();
  Unpacker in(bytes);
  const auto corrupt = [&](const char* what) {
    const std::size_t at = in.position();
    clear();
    return fail(ErrorCode::corrupt, std::string("a saved state with ") + what + " near byte " + std::to_string(at));
  };
  if (in.byte() != kFormat) return corrupt("a format that this program does not know");
  profiles_version_ = in.number();
  erase_version_ = in.number();
  clock_.ns = in.integer();
  listening_since_.ns = in.integer();
  auto rules = wire::control::decode(in.text());
  if (!rules || !std::holds_alternative<RulesChanged>(*rules)) return corrupt("broken rules");
  rules_ = std::get<RulesChanged>(*rules);
  const std::size_t profiles = in.count(3);
  for (std::size_t i = 0; i < profiles; ++i) {
    auto record = wire::control::decode(in.text());
    if (!record || !std::holds_alternative<ProfileChanged>(*record)) return corrupt("a broken profile");
    auto profile = std::make_shared<const ProfileChanged>(std::get<ProfileChanged>(*std::move(record)));
    profiles_[{profile->tenant.value, profile->profile}] = std::move(profile);
  }
  const std::size_t buckets = in.count(4);
  for (std::size_t i = 0; i < buckets; ++i)
    if (!get_bucket(in)) return corrupt("a broken bucket");
  if (!in.ok() || in.left() != 0) return corrupt("too few or too many bytes");
  return {};
}

std::string PartitionState::save_bucket(BucketId bucket) const {
  Packer out;
  put_bucket(out, bucket.value);
  return out.take();
}

void PartitionState::adopt_shared(const PartitionState& other) {
  if (other.profiles_version_ >= profiles_version_) {
    profiles_ = other.profiles_;
    profiles_version_ = other.profiles_version_;
  }
  rules_ = other.rules_;
  erase_version_ = std::max(erase_version_, other.erase_version_);
  clock_ = std::max(clock_, other.clock_);
  listening_since_ = std::max(listening_since_, other.listening_since_);
}

Result<> PartitionState::load_bucket(std::string_view bytes) {
  Unpacker in(bytes);
  if (!get_bucket(in) || in.left() != 0) return fail(ErrorCode::corrupt, "a saved bucket that cannot be read");
  return {};
}

Fingerprint PartitionState::hash() const {
  const std::string bytes = save();
  return hash128(std::as_bytes(std::span(bytes)));
}

}  // namespace flux::process
