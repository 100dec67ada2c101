#include "registry/embedded.h"

#include <algorithm>
#include <chrono>

#include "core/hash.h"
#include "observe/log.h"
#include "registry/documents.h"
#include "registry/embedded_impl.h"
#include "registry/schema.h"

namespace flux::registry {

namespace {

/// Rows in one transaction of discovered devices: small enough to let others write in between.
constexpr std::size_t kSaveBatch = 2'000;

}  // namespace

struct Embedded::SaveBatch {
  std::vector<DeviceEntryPtr> taken;
  std::vector<FieldSetRow> new_sets;
};

Result<std::unique_ptr<EmbeddedRegistry>> EmbeddedRegistry::open(store::Database& database, Directory& directory,
                                                                 runtime::Workers& workers,
                                                                 metrics::Registry& metrics) {
  DO(database.migrate("registry", migrations()));
  auto registry = std::make_unique<Embedded>(database, directory, workers, metrics);
  DO(registry->load());
  return registry;
}

Embedded::Embedded(store::Database& database, Directory& directory, runtime::Workers& workers,
                   metrics::Registry& metrics)
    : database_(database),
      directory_(directory),
      workers_(workers),
      discovered_(metrics.counter("fluxgate_registry_saved_discoveries_total",
                                  "Devices written because they, or fields of theirs, were found in readings.")) {
  registrations_.push_back(metrics.callback_gauge("fluxgate_registry_devices", "Devices known, of all tenants.", {},
                                                  [&directory] { return static_cast<double>(directory.size()); }));
}

Embedded::~Embedded() {
  directory_.on_unsaved(nullptr);
  {
    const std::lock_guard lock(save_mutex_);
    stopping_ = true;
  }
  save_wanted_.notify_all();
  if (saver_.joinable()) saver_.join();
  // Whatever still stands in the database's queue refers to this: wait until it has passed.
  if (auto passed = database_.write([](Session&) -> Result<> { return {}; }); !passed) {
    log::warn("the registry closed while its database failed", {{"error", passed.error()}});
  }
}

Result<> Embedded::load() {
  const Duration begun = monotonic_now();
  DO(database_.write([](Session& session) -> Result<> {
    DO(session.run("INSERT INTO tenants (id, name, created_at) VALUES (?, 'default', ?) ON CONFLICT (id) DO NOTHING",
                   {kDefaultTenant.value, wall_now()}));
    return {};
  }));

  std::vector<std::int64_t> unused;
  DO(database_.read([&](Session& session) -> Result<> {
    DO(session.each("SELECT tenant, profile, name, metrics, silent_after_ns, labels, version, commands FROM profiles",
                    {}, [&](const store::Row& row) -> Result<> {
                      Profile profile;
                      profile.id = row.text(1);
                      profile.name = row.optional_text(2);
                      TRY(profile.metrics, read_metrics(row.text(3)));
                      if (!row.is_null(4)) profile.silent_after = Duration{row.integer(4)};
                      TRY(profile.labels, read_labels(row.text(5)));
                      profile.version = static_cast<std::uint64_t>(row.integer(6));
                      TRY(profile.commands, read_commands(row.text(7)));
                      directory_.put_profile({static_cast<std::uint32_t>(row.integer(0))},
                                             std::make_shared<const Profile>(std::move(profile)));
                      return {};
                    }));

    struct Loaded {
      KnownFieldsPtr fields;
      bool used = false;
    };
    boost::unordered_flat_map<std::int64_t, Loaded> sets;
    DO(session.each("SELECT id, fields FROM field_sets", {}, [&](const store::Row& row) -> Result<> {
      TRY(auto fields, read_fields(row.text(1)));
      sets[row.integer(0)] = {directory_.intern(std::move(fields)), false};
      return {};
    }));

    boost::unordered_flat_map<std::string, LabelsPtr, StringHash, std::equal_to<>> labels;  // most devices share some
    const DeviceSettingsPtr plain =
        std::make_shared<const DeviceSettings>(DeviceSettings{.labels = directory_.intern(Labels())});
    DO(
        session.each("SELECT tenant, device, name, profile, labels, latitude, longitude, place, demo, version, "
                     "created_at, field_set "
                     "FROM devices",
                     {}, [&](const store::Row& row) -> Result<> {
                       const TenantId tenant{static_cast<std::uint32_t>(row.integer(0))};
                       DeviceSettingsPtr settings = plain;
                       if (row.integer(9) != 0) {
                         DeviceSettings own{.name = row.optional_text(2), .labels = plain->labels};
                         if (!row.is_null(3)) own.profile_slot = directory_.find_profile(tenant, row.text(3));
                         if (!row.is_null(4)) {
                           auto known = labels.find(row.text(4));
                           if (known == labels.end()) {
                             TRY(auto read, read_labels(row.text(4)));
                             known = labels.emplace(std::string(row.text(4)), directory_.intern(std::move(read))).first;
                           }
                           own.labels = known->second;
                         }
                         if (!row.is_null(5)) own.location = Location{row.real(5), row.real(6), row.optional_text(7)};
                         own.demo = row.boolean(8);
                         own.version = static_cast<std::uint64_t>(row.integer(9));
                         settings = std::make_shared<const DeviceSettings>(std::move(own));
                       }
                       KnownFieldsPtr fields;
                       if (!row.is_null(11)) {
                         if (const auto set = sets.find(row.integer(11)); set != sets.end()) {
                           set->second.used = true;
                           fields = set->second.fields;
                         }
                       }
                       directory_.load(tenant, row.text(1), row.time(10), std::move(settings), std::move(fields));
                       return {};
                     }));
    for (const auto& [id, set] : sets) {
      if (set.used) field_sets_[set.fields.get()] = {set.fields, id};
      else unused.push_back(id);
    }
    return {};
  }));

  if (!unused.empty()) {
    DO(database_.write([&](Session& session) -> Result<> {
      for (const std::int64_t id : unused) DO(session.run("DELETE FROM field_sets WHERE id = ?", {id}));
      return {};
    }));
  }
  if (directory_.size() > 0) {
    log::info("registry loaded", {{"devices", directory_.size()}, {"took", monotonic_now() - begun}});
  }
  saver_ = std::thread([this] { save_loop(); });
  directory_.on_unsaved([this] {
    {
      const std::lock_guard lock(save_mutex_);
      save_soon_ = true;
    }
    save_wanted_.notify_one();
  });
  return {};
}

void Embedded::follow(const Effects& effects) {
  for (const ProfilePtr& profile : effects.put_profiles) directory_.put_profile(effects.tenant, profile);
  for (const std::string& profile : effects.removed_profiles) directory_.remove_profile(effects.tenant, profile);
  for (const DeviceEffect& effect : effects.devices) {
    if (effect.row) {
      directory_.load(effect.tenant, effect.device, effect.row->created_at, settings_of(effect.tenant, *effect.row));
    } else {
      directory_.remove(effect.tenant, effect.device);
      for (const auto& removed : device_removed_) removed(effect.tenant, effect.device);
    }
  }
  if (effects.changes) {
    const std::lock_guard lock(added_mutex_);
    if (added_) added_();
  }
}

void Embedded::forget_deleting(const std::vector<DeviceKey>& keys) {
  for (const DeviceKey& key : keys) deleting_.erase(deleting_.find(key));
}

DeviceSettingsPtr Embedded::settings_of(TenantId tenant, const DeviceRow& row) {
  return std::make_shared<const DeviceSettings>(
      DeviceSettings{.name = row.name,
                     .profile_slot = row.profile ? directory_.find_profile(tenant, *row.profile) : nullptr,
                     .labels = directory_.intern(row.labels),
                     .location = row.location,
                     .demo = row.demo,
                     .version = row.version});
}

// ---- what was discovered, into the database ----

void Embedded::found(TenantId tenant, std::string_view device, std::string_view measurement,
                     std::span<const FieldDef> fields) {
  if (!check_device_id(device)) return;
  const DeviceEntryPtr entry = directory_.ensure(tenant, device);
  if (entry->check_or_set_types(measurement, fields)) return;
  // One of them is known with another type: the others are still news.
  for (const FieldDef& field : fields) static_cast<void>(entry->check_or_set_type(measurement, field.name, field.type));
}

Result<std::int64_t> Embedded::field_set_of(Session& session, const KnownFieldsPtr& fields, SaveBatch& batch) {
  if (const auto known = field_sets_.find(fields.get()); known != field_sets_.end()) return known->second.id;
  const auto fresh = std::ranges::find(batch.new_sets, fields, &FieldSetRow::fields);
  if (fresh != batch.new_sets.end()) return fresh->id;
  TRY(const auto id, session.first("UPDATE counters SET value = value + 1 WHERE name = 'field_set' RETURNING value", {},
                                   [](const store::Row& row) { return row.integer(0); }));
  CHECK(id.has_value());
  DO(session.run("INSERT INTO field_sets (id, fields) VALUES (?, ?)", {*id, write_fields(*fields)}));
  batch.new_sets.push_back({fields, *id});
  return *id;
}

Result<> Embedded::save_some(Session& session, SaveBatch& batch) {
  batch.taken = directory_.take_unsaved(kSaveBatch);
  std::vector<DeviceEntryPtr> leaving;
  for (const DeviceEntryPtr& entry : batch.taken) {
    if (deleting_.contains({entry->tenant().value, entry->id()})) {
      leaving.push_back(entry);  // should the delete fail, it is still to be saved
      continue;
    }
    const KnownFieldsPtr fields = entry->known_fields();
    std::optional<std::int64_t> set;
    if (!fields->empty()) {
      TRY(set, field_set_of(session, fields, batch));
    }
    DO(
        session.run("INSERT INTO devices (tenant, device, created_at, field_set) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (tenant, device) DO UPDATE SET field_set = excluded.field_set",
                    {entry->tenant().value, entry->id(), entry->created_at(), set}));
  }
  directory_.put_back_unsaved(leaving);
  return {};
}

void Embedded::saved(SaveBatch& batch, const Result<>& result) {
  if (!result) {
    directory_.put_back_unsaved(batch.taken);
    return;
  }
  discovered_.add(batch.taken.size());
  for (FieldSetRow& set : batch.new_sets) field_sets_.try_emplace(set.fields.get(), set);
  // Sets that a device passed through while its fields were found one by one.
  if (field_sets_.size() > 4096 && !batch.new_sets.empty()) {
    boost::unordered::erase_if(field_sets_, [](const auto& item) { return item.second.fields.use_count() == 1; });
  }
}

Async<std::size_t> Embedded::save_some_async() {
  const auto batch = std::make_shared<SaveBatch>();
  runtime::Completion<std::size_t> completion;
  store::Database::Work work = [this, batch](Session& session) { return save_some(session, *batch); };
  store::Database::Done done = [this, batch, completion](const Result<>& result) {
    saved(*batch, result);
    if (result) completion.resolve(batch->taken.size());
    else completion.resolve(std::unexpected(result.error()));
  };
  database_.submit_write(std::move(work), std::move(done));
  co_return co_await completion;
}

Async<void> Embedded::flush() {
  for (;;) {
    CO_TRY(const std::size_t saved, co_await save_some_async());
    if (saved < kSaveBatch) co_return {};
  }
}

Result<> Embedded::flush_blocking() {
  for (;;) {
    const auto batch = std::make_shared<SaveBatch>();
    std::mutex mutex;
    std::condition_variable settled;
    std::optional<Result<>> result;
    database_.submit_write([this, batch](Session& session) { return save_some(session, *batch); },
                           [&, this](Result<> outcome) {
                             saved(*batch, outcome);
                             const std::lock_guard lock(mutex);
                             result.emplace(std::move(outcome));
                             settled.notify_one();
                           });
    std::unique_lock lock(mutex);
    settled.wait(lock, [&] { return result.has_value(); });
    if (!*result) return *result;
    if (batch->taken.size() < kSaveBatch) return {};
  }
}

void Embedded::save_loop() {
  static log::Throttle throttle(30_s);
  std::unique_lock lock(save_mutex_);
  for (;;) {
    save_wanted_.wait(lock, [&] { return stopping_ || save_soon_; });
    // Devices come in flocks: a moment's wait makes one transaction of them.
    save_wanted_.wait_for(lock, std::chrono::milliseconds(20), [&] { return stopping_; });
    if (stopping_) return;
    save_soon_ = false;
    lock.unlock();
    const Result<> flushed = flush_blocking();
    lock.lock();
    if (flushed) continue;
    log::warn(throttle, "discovered devices could not be saved yet", {{"error", flushed.error()}});
    save_soon_ = true;
    save_wanted_.wait_for(lock, std::chrono::seconds(1), [&] { return stopping_; });
  }
}

// ---- the outbox ----

Async<std::vector<Change>> Embedded::pending(std::uint64_t after, std::size_t limit) {
  auto work = [after, limit](Session& session) -> Result<std::vector<Change>> {
    std::vector<Change> changes;
    DO(session.each(
        "SELECT version, tenant, kind, key, document FROM changes WHERE version > ? ORDER BY version LIMIT ?",
        {after, limit}, [&](const store::Row& row) -> Result<> {
          Change change;
          change.version = static_cast<std::uint64_t>(row.integer(0));
          change.tenant = {static_cast<std::uint32_t>(row.integer(1))};
          change.kind = static_cast<Change::Kind>(row.integer(2));
          change.key = row.text(3);
          if (change.kind == Change::Kind::profile_set) {
            TRY(auto profile, read_profile(row.text(4)));
            change.profile = std::make_shared<const Profile>(std::move(profile));
          } else if (change.kind == Change::Kind::device_set) {
            TRY(change.device, read_device_change(row.text(4)));
          }
          changes.push_back(std::move(change));
          return {};
        }));
    return changes;
  };
  co_return co_await database_.read_async<std::vector<Change>>(std::move(work));
}

Async<void> Embedded::ack(std::uint64_t version) {
  auto work = [version](Session& session) -> Result<> {
    DO(session.run("DELETE FROM changes WHERE version <= ?", {version}));
    return {};
  };
  co_return co_await database_.write_async<void>(std::move(work));
}

void Embedded::on_added(std::function<void()> ready) {
  const std::lock_guard lock(added_mutex_);
  added_ = std::move(ready);
}

Result<std::uint64_t> Embedded::add_change(Session& session, TenantId tenant, Change::Kind kind, const std::string& key,
                                           const std::function<std::string(std::uint64_t)>& document) {
  TRY(const auto next, session.first("UPDATE counters SET value = value + 1 WHERE name = 'change' RETURNING value", {},
                                     [](const store::Row& row) { return static_cast<std::uint64_t>(row.integer(0)); }));
  CHECK(next.has_value());
  std::optional<std::string> text;
  if (document) text = document(*next);
  DO(session.run("INSERT INTO changes (version, tenant, kind, key, document) VALUES (?, ?, ?, ?, ?)",
                 {*next, tenant.value, kind, key, text}));
  return *next;
}

}  // namespace flux::registry
