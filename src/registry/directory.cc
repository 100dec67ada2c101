#include "registry/directory.h"

#include <algorithm>
#include <utility>

#include "registry/directory_impl.h"
#include "registry/text.h"

namespace flux::registry {

namespace {

constexpr std::uint64_t kCursorForm = 2;  // grows with the order of names too: a page would begin elsewhere
constexpr std::size_t kFacetValues = 50;

std::uint64_t mix(std::uint64_t seed, std::string_view text) { return hash64(text, seed); }
std::uint64_t mix(std::uint64_t seed, std::uint64_t value) { return hash64(std::as_bytes(std::span(&value, 1)), seed); }

/// Tells a cursor of another question apart.
std::uint64_t question_of(TenantId tenant, const DeviceFilter& filter, DeviceSort sort) {
  std::uint64_t hash = mix(tenant.value, static_cast<std::uint64_t>(sort));
  hash = mix(hash, filter.text);
  for (const auto& [key, value] : filter.labels) hash = mix(mix(hash, key), value);
  hash = mix(hash, filter.labels.size());
  for (const DeviceState state : filter.states) hash = mix(hash, static_cast<std::uint64_t>(state));
  hash = mix(hash, filter.profile ? *filter.profile : std::string_view("/"));
  return mix(hash, filter.demo ? 1 + static_cast<std::uint64_t>(*filter.demo) : 0);
}

std::string write_cursor(std::uint64_t question, const DeviceEntry& last, std::size_t total) {
  CursorWriter cursor;
  cursor.number(kCursorForm);
  cursor.number(question);
  cursor.number(total);
  cursor.number(static_cast<std::uint64_t>(last.state()));
  cursor.number(static_cast<std::uint64_t>(last.last_seen().ns));
  cursor.text(DeviceIndex::name_of(last));
  cursor.text(last.id());
  return cursor.take();
}

Result<DeviceIndex::After> read_cursor(std::string_view text, std::uint64_t question) {
  CursorReader cursor(text);
  DeviceIndex::After after;
  const std::uint64_t form = cursor.number();
  const std::uint64_t asked = cursor.number();
  after.total = cursor.number();
  after.state = static_cast<DeviceState>(cursor.number() % 3);
  after.last_seen = static_cast<std::int64_t>(cursor.number());
  after.name = cursor.text();
  after.id = cursor.text();
  if (!cursor.complete() || form != kCursorForm) {
    return fail(ErrorCode::invalid_argument, "this is not a cursor of this list", "cursor");
  }
  if (asked != question) {
    return fail(ErrorCode::invalid_argument, "the cursor belongs to a list with another filter or order", "cursor");
  }
  return after;
}

}  // namespace

std::uint64_t LabelsHash::operator()(const Labels& labels) const {
  std::uint64_t hash = labels.size();
  for (const auto& [key, value] : labels) hash = mix(mix(hash, key), value);
  return hash;
}

std::uint64_t KnownFieldsHash::operator()(const KnownFields& fields) const {
  std::uint64_t hash = fields.size();
  for (const KnownField& field : fields) {
    hash = mix(mix(hash, field.measurement), field.name);
    hash = mix(hash, static_cast<std::uint64_t>(field.type));
    if (field.unit) hash = mix(hash, *field.unit);
  }
  return hash;
}

DeviceEntryPtr Directory::Impl::find(const Key& key) {
  Slice& where = slice(key.hash);
  const std::shared_lock lock(where.mutex);
  const auto found = where.devices.find(key);
  return found != where.devices.end() ? *found : nullptr;
}

detail::Tenant* Directory::Impl::find_tenant(TenantId id) const {
  const std::shared_lock lock(tenants_mutex);
  const auto found = tenants.find(id.value);
  return found != tenants.end() ? found->second.get() : nullptr;
}

detail::Tenant& Directory::Impl::tenant(TenantId id) {
  if (detail::Tenant* const known = find_tenant(id)) return *known;
  const std::unique_lock lock(tenants_mutex);
  auto& slot = tenants[id.value];
  if (!slot) slot = std::make_unique<detail::Tenant>(id, *this);
  return *slot;
}

void Directory::Impl::queue_unsaved(DeviceEntryPtr entry) {
  std::function<void()> ready;
  {
    const std::lock_guard lock(unsaved_mutex);
    if (unsaved.empty()) ready = unsaved_ready;
    unsaved.push_back(std::move(entry));
  }
  if (ready) ready();
}

Directory::Directory() : impl_(std::make_unique<Impl>()) {}
Directory::~Directory() = default;

DeviceEntryPtr Directory::find(TenantId tenant, std::string_view device) const {
  return impl_->find(Impl::key_of(tenant, device));
}

DeviceEntryPtr Directory::ensure(TenantId tenant, std::string_view device) {
  const Impl::Key key = Impl::key_of(tenant, device);
  if (auto known = impl_->find(key)) return known;
  detail::Tenant& owner = impl_->tenant(tenant);
  auto fresh = std::make_shared<DeviceEntry>(owner, std::string(device), wall_now(), impl_->no_settings);
  fresh->unsaved_.store(true, std::memory_order_relaxed);
  {
    Impl::Slice& where = impl_->slice(key.hash);
    const std::unique_lock lock(where.mutex);
    const auto found = where.devices.find(key);
    if (found != where.devices.end()) return *found;
    where.devices.insert(fresh);
    owner.states[static_cast<std::size_t>(DeviceState::never)].fetch_add(1, std::memory_order_relaxed);
    owner.devices.fetch_add(1, std::memory_order_relaxed);
    // Inside the slice's lock: whoever finds the device finds it in the index too.
    const std::lock_guard arrivals(owner.arrivals_mutex);
    owner.arrivals.push_back(fresh.get());
  }
  impl_->queue_unsaved(fresh);
  return fresh;
}

std::optional<TenantId> Directory::only_tenant() const {
  const std::shared_lock lock(impl_->tenants_mutex);
  if (impl_->tenants.size() > 1) return std::nullopt;
  return impl_->tenants.empty() ? kDefaultTenant : impl_->tenants.begin()->second->id;
}

std::size_t Directory::size(TenantId tenant) const {
  const detail::Tenant* const owner = impl_->find_tenant(tenant);
  return owner != nullptr ? static_cast<std::size_t>(owner->devices.load(std::memory_order_relaxed)) : 0;
}

std::size_t Directory::size() const {
  const std::shared_lock lock(impl_->tenants_mutex);
  std::size_t total = 0;
  for (const auto& item : impl_->tenants) {
    total += static_cast<std::size_t>(item.second->devices.load(std::memory_order_relaxed));
  }
  return total;
}

Result<DirectoryPage> Directory::list(TenantId tenant, const DeviceFilter& filter, DeviceSort sort,
                                      std::string_view cursor, std::size_t limit) const {
  const std::uint64_t question = question_of(tenant, filter, sort);
  std::optional<DeviceIndex::After> after;
  if (!cursor.empty()) {
    TRY(after, read_cursor(cursor, question));
  }
  DirectoryPage page;
  detail::Tenant* const owner = impl_->find_tenant(tenant);
  if (owner == nullptr || limit == 0) return page;
  const auto lock = owner->read_index();
  const auto found = owner->index.search(filter, sort, after ? &*after : nullptr, limit);
  page.total = found.total;
  page.devices.reserve(found.devices.size());
  for (const DeviceEntry* entry : found.devices) page.devices.push_back(find(tenant, entry->id()));
  if (found.more) page.next = write_cursor(question, *found.devices.back(), found.total);
  return page;
}

bool Directory::matches(const DeviceEntry& entry, const DeviceFilter& filter) {
  return DeviceIndex::matches(entry, filter, *entry.settings());
}

DeviceFacets Directory::facets(TenantId tenant) const {
  DeviceFacets facets;
  detail::Tenant* const owner = impl_->find_tenant(tenant);
  if (owner == nullptr) return facets;
  for (std::size_t i = 0; i < facets.states.size(); ++i) {
    facets.states[i] = static_cast<std::size_t>(std::max<std::int64_t>(owner->states[i].load(), 0));
  }
  {
    const auto lock = owner->read_index();
    owner->index.count_into(facets);
  }
  for (auto& [label, values] : facets.labels) {
    if (values.size() <= kFacetValues) continue;
    std::vector<std::pair<std::size_t, std::string>> ranked;
    for (const auto& [value, count] : values) ranked.emplace_back(count, value);
    std::ranges::sort(ranked, [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    values.clear();
    for (std::size_t i = 0; i < kFacetValues; ++i) values[ranked[i].second] = ranked[i].first;
  }
  return facets;
}

void Directory::for_each(TenantId tenant, const std::function<bool(const DeviceEntryPtr&)>& visit) const {
  detail::Tenant* const owner = impl_->find_tenant(tenant);
  if (owner == nullptr) return;
  const auto lock = owner->read_index();
  owner->index.for_each([&](const DeviceEntry& entry) { return visit(find(tenant, entry.id())); });
}

ProfileSlotPtr Directory::find_profile(TenantId tenant, std::string_view profile) const {
  const detail::Tenant* const owner = impl_->find_tenant(tenant);
  if (owner == nullptr) return nullptr;
  const std::shared_lock lock(owner->profiles_mutex);
  const auto found = owner->profiles.find(profile);
  return found != owner->profiles.end() ? found->second : nullptr;
}

std::vector<ProfilePtr> Directory::profiles(TenantId tenant) const {
  std::vector<ProfilePtr> all;
  const detail::Tenant* const owner = impl_->find_tenant(tenant);
  if (owner == nullptr) return all;
  const std::shared_lock lock(owner->profiles_mutex);
  for (const auto& [id, slot] : owner->profiles) all.push_back(slot->current());
  return all;
}

DeviceEntryPtr Directory::load(TenantId tenant, std::string_view id, Time created_at, DeviceSettingsPtr settings,
                               KnownFieldsPtr fields) {
  const Impl::Key key = Impl::key_of(tenant, id);
  detail::Tenant& owner = impl_->tenant(tenant);
  if (auto known = impl_->find(key)) {
    apply_settings(*known, std::move(settings));
    return known;
  }
  auto fresh = std::make_shared<DeviceEntry>(owner, std::string(id), created_at, settings);
  if (fields != nullptr) fresh->fields_ = std::move(fields);
  {
    Impl::Slice& where = impl_->slice(key.hash);
    const std::unique_lock lock(where.mutex);
    if (where.devices.find(key) == where.devices.end()) {
      where.devices.insert(fresh);
      owner.states[static_cast<std::size_t>(DeviceState::never)].fetch_add(1, std::memory_order_relaxed);
      owner.devices.fetch_add(1, std::memory_order_relaxed);
      const std::lock_guard arrivals(owner.arrivals_mutex);
      owner.arrivals.push_back(fresh.get());
      return fresh;
    }
  }
  return load(tenant, id, created_at, std::move(settings), std::move(fields));  // somebody was quicker
}

void Directory::apply_settings(DeviceEntry& entry, DeviceSettingsPtr settings) {
  CHECK(settings != nullptr && settings->labels != nullptr);
  detail::Tenant& owner = entry.tenant_;
  const std::unique_lock lock(owner.index_mutex);
  if (entry.removed()) return;
  owner.take_in_arrivals();
  owner.index.change(entry, std::move(settings));
}

void Directory::remove(TenantId tenant, std::string_view device) {
  const Impl::Key key = Impl::key_of(tenant, device);
  detail::Tenant& owner = impl_->tenant(tenant);
  const std::unique_lock lock(owner.index_mutex);
  const DeviceEntryPtr entry = impl_->find(key);
  if (entry == nullptr) return;
  owner.take_in_arrivals();
  owner.index.erase(*entry);
  {
    const std::lock_guard entry_lock(entry->lock_);
    entry->removed_.store(true, std::memory_order_release);
    owner.states[static_cast<std::size_t>(entry->state())].fetch_sub(1, std::memory_order_relaxed);
    owner.devices.fetch_sub(1, std::memory_order_relaxed);
  }
  Impl::Slice& where = impl_->slice(key.hash);
  const std::unique_lock slice_lock(where.mutex);
  if (const auto found = where.devices.find(key); found != where.devices.end()) where.devices.erase(found);
}

ProfileSlotPtr Directory::put_profile(TenantId tenant, ProfilePtr profile) {
  detail::Tenant& owner = impl_->tenant(tenant);
  const std::unique_lock lock(owner.profiles_mutex);
  auto& slot = owner.profiles[profile->id];
  if (slot) slot->replace(std::move(profile));
  else slot = std::make_shared<ProfileSlot>(profile->id, profile);
  return slot;
}

void Directory::remove_profile(TenantId tenant, std::string_view profile) {
  detail::Tenant& owner = impl_->tenant(tenant);
  const std::unique_lock lock(owner.profiles_mutex);
  const auto found = owner.profiles.find(profile);
  if (found == owner.profiles.end()) return;
  found->second->replace(nullptr);
  owner.profiles.erase(found);
}

LabelsPtr Directory::intern(Labels labels) {
  if (labels.empty()) return impl_->no_labels;
  return impl_->labels.intern(std::move(labels));
}

KnownFieldsPtr Directory::intern(KnownFields fields) {
  if (fields.empty()) return impl_->no_fields;
  return impl_->fields.intern(std::move(fields));
}

std::vector<DeviceEntryPtr> Directory::take_unsaved(std::size_t limit) {
  std::vector<DeviceEntryPtr> taken;
  {
    const std::lock_guard lock(impl_->unsaved_mutex);
    if (impl_->unsaved.size() <= limit) {
      taken.swap(impl_->unsaved);
    } else {
      const auto first = impl_->unsaved.end() - static_cast<std::ptrdiff_t>(limit);
      taken.assign(std::move_iterator(first), std::move_iterator(impl_->unsaved.end()));
      impl_->unsaved.erase(first, impl_->unsaved.end());
    }
  }
  // Before their fields are read: what comes after queues them again.
  for (const auto& entry : taken) entry->unsaved_.store(false, std::memory_order_release);
  std::erase_if(taken, [](const auto& entry) { return entry->removed(); });
  return taken;
}

void Directory::put_back_unsaved(const std::vector<DeviceEntryPtr>& entries) {
  std::function<void()> ready;
  {
    const std::lock_guard lock(impl_->unsaved_mutex);
    for (const auto& entry : entries) {
      if (entry->unsaved_.exchange(true, std::memory_order_acq_rel)) continue;
      impl_->unsaved.push_back(entry);
      // Also when others wait already: whoever took these may not come back for the rest.
      ready = impl_->unsaved_ready;
    }
  }
  if (ready) ready();
}

void Directory::on_unsaved(std::function<void()> ready) {
  bool now = false;
  {
    const std::lock_guard lock(impl_->unsaved_mutex);
    impl_->unsaved_ready = ready;
    now = !impl_->unsaved.empty();
  }
  if (ready && now) ready();
}

}  // namespace flux::registry
