#include <algorithm>
#include <compare>

#include "registry/directory_impl.h"

namespace flux::registry {

namespace {

/// Enough for any machine; a sender that makes up names does not fill memory.
constexpr std::size_t kFieldLimit = 10'000;

std::strong_ordering compare(const KnownField& known, std::string_view measurement, std::string_view field) {
  if (const auto order = std::string_view(known.measurement) <=> measurement; order != 0) return order;
  return std::string_view(known.name) <=> field;
}

KnownFields::const_iterator lower_bound(const KnownFields& fields, std::string_view measurement,
                                        std::string_view field) {
  return std::ranges::partition_point(fields, [&](const KnownField& k) { return compare(k, measurement, field) < 0; });
}

const KnownField* find_field(const KnownFields& fields, std::string_view measurement, std::string_view field) {
  const auto found = lower_bound(fields, measurement, field);
  return found != fields.end() && compare(*found, measurement, field) == 0 ? &*found : nullptr;
}

/// How many of `fields` are not known yet; fails for one that is known with another type.
Result<std::size_t> count_new(const KnownFields& known, std::string_view measurement,
                              std::span<const FieldDef> fields) {
  std::size_t fresh = 0;
  for (const FieldDef& field : fields) {
    const KnownField* const found = find_field(known, measurement, field.name);
    if (found == nullptr) {
      ++fresh;
    } else if (found->type != field.type) {
      return fail(ErrorCode::invalid_argument,
                  "`" + field.name + "` is a " + std::string(to_string(found->type)) +
                      " since its first reading, not a " + std::string(to_string(field.type)),
                  field.name);
    }
  }
  return fresh;
}

}  // namespace

DeviceEntry::DeviceEntry(detail::Tenant& tenant, std::string id, Time created_at, DeviceSettingsPtr settings)
    : tenant_(tenant),
      id_(std::move(id)),
      created_at_(created_at),
      settings_(std::move(settings)),
      fields_(tenant.directory.no_fields),
      bucket_(bucket_of(tenant.id, id_)) {}

TenantId DeviceEntry::tenant() const { return tenant_.id; }

DeviceSettingsPtr DeviceEntry::settings() const {
  const std::lock_guard lock(lock_);
  return settings_;
}

KnownFieldsPtr DeviceEntry::known_fields() const {
  const std::lock_guard lock(lock_);
  return fields_;
}

void DeviceEntry::seen(Time at) {
  std::int64_t last = last_seen_ns_.load(std::memory_order_relaxed);
  while (last < at.ns && !last_seen_ns_.compare_exchange_weak(last, at.ns, std::memory_order_relaxed)) {
  }
}

DeviceState DeviceEntry::set_state(DeviceState state) {
  if (state_.load(std::memory_order_relaxed) == state) return state;
  const std::lock_guard lock(lock_);
  const DeviceState old = state_.exchange(state, std::memory_order_relaxed);
  if (old != state && !removed()) {
    tenant_.states[static_cast<std::size_t>(old)].fetch_sub(1, std::memory_order_relaxed);
    tenant_.states[static_cast<std::size_t>(state)].fetch_add(1, std::memory_order_relaxed);
  }
  return old;
}

Time DeviceEntry::assign_time(Time now) {
  std::int64_t last = last_assigned_ns_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t next = last == INT64_MAX ? last : std::max(now.ns, last + 1);
    if (last_assigned_ns_.compare_exchange_weak(last, next, std::memory_order_relaxed)) return {next};
  }
}

void DeviceEntry::raise_assigned_time(Time time) {
  std::int64_t last = last_assigned_ns_.load(std::memory_order_relaxed);
  while (last < time.ns && !last_assigned_ns_.compare_exchange_weak(last, time.ns, std::memory_order_relaxed)) {
  }
}

Result<> DeviceEntry::check_or_set_type(std::string_view measurement, std::string_view field, ValueType type) {
  const FieldDef definition{std::string(field), type};
  return check_or_set_types(measurement, std::span(&definition, 1));
}

Result<> DeviceEntry::check_or_set_types(std::string_view measurement, std::span<const FieldDef> fields) {
  const KnownFieldsPtr seen = known_fields();
  TRY(const std::size_t maybe_new, count_new(*seen, measurement, fields));
  if (maybe_new == 0) return {};

  Directory::Impl& directory = tenant_.directory;
  {
    const std::lock_guard adding(directory.fields_mutex);
    const KnownFieldsPtr before = known_fields();
    TRY(const std::size_t fresh, count_new(*before, measurement, fields));  // somebody may have been quicker
    if (fresh == 0) return {};
    if (before->size() + fresh > kFieldLimit) {
      return fail(ErrorCode::too_large,
                  "a device has at most " + std::to_string(kFieldLimit) + " metrics; `" + id_ + "` has them already",
                  fields.front().name);
    }
    KnownFields more = *before;
    more.reserve(before->size() + fresh);
    for (const FieldDef& field : fields) {
      if (find_field(more, measurement, field.name) != nullptr) continue;
      more.insert(lower_bound(more, measurement, field.name),
                  KnownField{std::string(measurement), field.name, field.type, std::nullopt});
    }
    KnownFieldsPtr shared = directory.fields.intern(std::move(more));
    const std::lock_guard lock(lock_);
    fields_.swap(shared);
  }
  if (!unsaved_.exchange(true, std::memory_order_acq_rel)) {
    if (auto self = directory.find(Directory::Impl::key_of(tenant(), id_)); self.get() == this) {
      directory.queue_unsaved(std::move(self));
    }
  }
  return {};
}

std::optional<ValueType> DeviceEntry::field_type(std::string_view measurement, std::string_view field) const {
  const KnownFieldsPtr known = known_fields();
  if (const KnownField* const found = find_field(*known, measurement, field)) return found->type;
  const ProfilePtr profile = settings()->profile();
  if (profile == nullptr) return std::nullopt;
  const ProfileMetric* const metric = profile->find(field);
  return metric != nullptr ? std::optional(metric->type) : std::nullopt;
}

Result<> Directory::set_unit(DeviceEntry& entry, std::string_view measurement, std::string_view field,
                             std::optional<std::string> unit) {
  {
    const std::lock_guard adding(impl_->fields_mutex);
    KnownFields changed = *entry.known_fields();
    const auto found = lower_bound(changed, measurement, field);
    if (found == changed.end() || compare(*found, measurement, field) != 0) {
      return fail(ErrorCode::not_found,
                  "device `" + entry.id() + "` has not reported a metric `" + std::string(field) + "` so far");
    }
    changed[static_cast<std::size_t>(found - changed.begin())].unit = std::move(unit);
    KnownFieldsPtr shared = impl_->fields.intern(std::move(changed));
    const std::lock_guard lock(entry.lock_);
    entry.fields_.swap(shared);
  }
  if (!entry.unsaved_.exchange(true, std::memory_order_acq_rel)) {
    if (auto self = find(entry.tenant(), entry.id()); self.get() == &entry) impl_->queue_unsaved(std::move(self));
  }
  return {};
}

}  // namespace flux::registry
