#include "registry/databases.h"

#include <algorithm>

#include "registry/documents.h"
#include "registry/model.h"

namespace flux::registry {
namespace {

using store::Session;

constexpr std::string_view kDefaultDatabase = "default";
constexpr std::string_view kDefaultPolicy = "autogen";
constexpr std::size_t kMostDeviceTags = 32;
/// Enough for any fleet; a sender that makes up names does not fill memory.
constexpr std::size_t kFieldLimit = 1'000'000;

Result<> check(const NewDatabase& database) {
  DO(check_device_id(database.name, "name"));
  if (database.name == "." || database.name == ".." || database.name.contains('\\'))
    return fail(ErrorCode::invalid_argument, "'" + database.name + "' cannot be a database's name", "name");
  if (database.device_tags.size() > kMostDeviceTags)
    return fail(ErrorCode::invalid_argument, "at most " + std::to_string(kMostDeviceTags) + " tags", "device_tags");
  for (std::size_t i = 0; i < database.device_tags.size(); ++i)
    DO(check_metric_name(database.device_tags[i], "device_tags[" + std::to_string(i) + "]"));
  return {};
}

DatabaseSettings settings_of(const NewDatabase& database) {
  return {.name = database.name,
          .retention_policies = {{std::string(kDefaultPolicy), Duration{}}},
          .device_tags = database.device_tags,
          .created_at = wall_now()};
}

Result<> insert(Session& session, TenantId tenant, const DatabaseSettings& settings) {
  DO(session.run("INSERT INTO influx_databases (tenant, name, device_tags, created_at) VALUES (?, ?, ?, ?)",
                 {tenant.value, settings.name, write_texts(settings.device_tags), settings.created_at}));
  for (std::size_t i = 0; i < settings.retention_policies.size(); ++i) {
    const RetentionPolicy& policy = settings.retention_policies[i];
    DO(
        session.run("INSERT INTO influx_retention_policies (tenant, database, name, position, duration_ns) "
                    "VALUES (?, ?, ?, ?, ?)",
                    {tenant.value, settings.name, policy.name, i, policy.duration.ns}));
  }
  return {};
}

std::unexpected<Error> no_such(std::string_view name) {
  return fail(ErrorCode::not_found, "database not found: \"" + std::string(name) + "\"");
}

}  // namespace

std::string_view influx_type(ValueType type) {
  switch (type) {
    case ValueType::float64: return "float";
    case ValueType::int64: return "integer";
    case ValueType::uint64: return "unsigned";
    case ValueType::boolean: return "boolean";
    case ValueType::string: return "string";
  }
  return "?";
}

bool DatabaseEntry::has_policy(std::string_view name) const {
  return std::ranges::any_of(settings_.retention_policies, [&](const auto& policy) { return policy.name == name; });
}

Result<> DatabaseEntry::check_or_set_types(std::string_view measurement, std::span<const FieldDef> fields) {
  const auto judge = [&](const Types& types, std::size_t& fresh) -> Result<> {
    for (const FieldDef& field : fields) {
      const auto known = types.find(field.name);
      if (known == types.end()) {
        ++fresh;
      } else if (known->second != field.type) {
        return fail(ErrorCode::invalid_argument,
                    "field type conflict: input field \"" + field.name + "\" on measurement \"" +
                        std::string(measurement) + "\" is type " + std::string(influx_type(field.type)) +
                        ", already exists as type " + std::string(influx_type(known->second)),
                    field.name);
      }
    }
    return {};
  };
  {
    const std::shared_lock lock(mutex_);
    if (const auto known = types_.find(measurement); known != types_.end()) {
      std::size_t fresh = 0;
      DO(judge(known->second, fresh));
      if (fresh == 0) return {};
    }
  }
  const std::unique_lock lock(mutex_);
  std::size_t fresh = 0;
  std::size_t total = 0;
  for (const auto& [name, types] : types_) total += types.size();
  auto known = types_.find(measurement);
  if (known != types_.end()) DO(judge(known->second, fresh));
  if (total + fields.size() > kFieldLimit)
    return fail(ErrorCode::too_large,
                "database \"" + settings_.name + "\" has " + std::to_string(kFieldLimit) + " fields already",
                fields.front().name);
  if (known == types_.end()) known = types_.try_emplace(std::string(measurement)).first;
  for (const FieldDef& field : fields) {
    if (known->second.try_emplace(field.name, field.type).second)
      unsaved_.push_back({std::string(measurement), field.name, field.type});
  }
  unsaved_count_.store(unsaved_.size(), std::memory_order_release);
  return {};
}

std::vector<DatabaseField> DatabaseEntry::fields() const {
  const std::shared_lock lock(mutex_);
  std::vector<DatabaseField> all;
  for (const auto& [measurement, types] : types_)
    for (const auto& [name, type] : types) all.push_back({measurement, name, type});
  return all;
}

bool DatabaseEntry::has_field(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  return std::ranges::any_of(types_, [&](const auto& measurement) { return measurement.second.contains(name); });
}

Databases::Databases() {
  put(std::make_shared<DatabaseEntry>(kDefaultTenant, settings_of({.name = std::string(kDefaultDatabase)})));
}

Databases::~Databases() {
  // What still stands in the queue refers to this.
  if (database_ != nullptr) static_cast<void>(database_->write([](Session&) -> Result<> { return {}; }));
}

Result<std::unique_ptr<Databases>> Databases::open(store::Database& database) {
  auto databases = std::make_unique<Databases>();
  databases->database_ = &database;
  DO(databases->load());
  return databases;
}

Result<> Databases::load() {
  const DatabaseSettings always = find(kDefaultTenant, kDefaultDatabase)->settings();
  DO(database_->write([&](Session& session) -> Result<> {
    TRY(const auto there, session.first("SELECT 1 FROM influx_databases WHERE tenant = ? AND name = ?",
                                        {kDefaultTenant.value, always.name}, [](const store::Row&) { return true; }));
    return there ? Result<>() : insert(session, kDefaultTenant, always);
  }));
  std::map<Key, DatabaseSettings> settings;
  std::map<Key, std::map<std::string, DatabaseEntry::Types, std::less<>>> types;
  DO(database_->read([&](Session& session) -> Result<> {
    DO(session.each("SELECT tenant, name, device_tags, created_at FROM influx_databases", {},
                    [&](const store::Row& row) -> Result<> {
                      DatabaseSettings one{.name = std::string(row.text(1)), .created_at = row.time(3)};
                      TRY(one.device_tags, read_texts(row.text(2)));
                      const Key key{static_cast<std::uint32_t>(row.integer(0)), one.name};
                      settings[key] = std::move(one);
                      return {};
                    }));
    DO(
        session.each("SELECT tenant, database, name, duration_ns FROM influx_retention_policies "
                     "ORDER BY tenant, database, position",
                     {}, [&](const store::Row& row) -> Result<> {
                       const Key key{static_cast<std::uint32_t>(row.integer(0)), std::string(row.text(1))};
                       settings[key].retention_policies.push_back({std::string(row.text(2)), Duration{row.integer(3)}});
                       return {};
                     }));
    return session.each("SELECT tenant, database, measurement, field, type FROM influx_fields", {},
                        [&](const store::Row& row) -> Result<> {
                          const Key key{static_cast<std::uint32_t>(row.integer(0)), std::string(row.text(1))};
                          types[key][std::string(row.text(2))][std::string(row.text(3))] =
                              static_cast<ValueType>(row.integer(4));
                          return {};
                        });
  }));
  for (auto& [key, one] : settings) {
    auto entry = std::make_shared<DatabaseEntry>(TenantId{key.first}, std::move(one));
    entry->types_ = std::move(types[key]);
    put(std::move(entry));
  }
  return {};
}

void Databases::put(DatabaseEntryPtr entry) {
  const std::unique_lock lock(mutex_);
  entries_[Key{entry->tenant().value, entry->settings().name}] = std::move(entry);
}

DatabaseEntryPtr Databases::find(TenantId tenant, std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto found = entries_.find(KeyLess::View{tenant.value, name});
  return found == entries_.end() ? nullptr : found->second;
}

std::vector<DatabaseEntryPtr> Databases::list(TenantId tenant) const {
  const std::shared_lock lock(mutex_);
  std::vector<DatabaseEntryPtr> all;
  for (auto at = entries_.lower_bound(KeyLess::View{tenant.value, {}});
       at != entries_.end() && at->first.first == tenant.value; ++at)
    all.push_back(at->second);
  return all;
}

Async<DatabaseEntryPtr> Databases::create(TenantId tenant, NewDatabase database) {
  CO_DO(check(database));
  if (find(tenant, database.name))
    co_return fail(ErrorCode::already_exists, "there is a database '" + database.name + "' already", "name");
  auto entry = std::make_shared<DatabaseEntry>(tenant, settings_of(database));
  if (database_ == nullptr) {
    put(entry);
    co_return entry;
  }
  runtime::Completion<DatabaseEntryPtr> completion;
  store::Database::Work work = [entry](Session& session) {
    return insert(session, entry->tenant(), entry->settings());
  };
  store::Database::Done done = [this, entry, completion](Result<> result) {
    if (result) put(entry);
    if (result) completion.resolve(entry);
    else completion.resolve(std::unexpected(std::move(result).error()));
  };
  database_->submit_write(std::move(work), std::move(done));
  co_return co_await completion;
}

Async<DatabaseEntryPtr> Databases::ensure(TenantId tenant, NewDatabase database) {
  if (auto known = find(tenant, database.name)) co_return known;
  const std::string name = database.name;
  auto made = co_await create(tenant, std::move(database));
  if (made || made.error().code != ErrorCode::already_exists) co_return made;
  auto known = find(tenant, name);  // somebody was quicker
  if (!known) co_return no_such(name);
  co_return known;
}

Async<void> Databases::drop(TenantId tenant, std::string name) {
  if (name == kDefaultDatabase)
    co_return fail(ErrorCode::invalid_argument, "the database 'default' holds what devices send as JSON and stays");
  const auto entry = find(tenant, name);
  if (!entry) co_return no_such(name);
  const auto forget = [this, entry] {
    entry->removed_.store(true, std::memory_order_release);
    const std::unique_lock lock(mutex_);
    const auto found = entries_.find(KeyLess::View{entry->tenant().value, entry->settings().name});
    if (found != entries_.end() && found->second == entry) entries_.erase(found);
  };
  if (database_ == nullptr) {
    forget();
    co_return {};
  }
  runtime::Completion<> completion;
  store::Database::Work work = [entry](Session& session) -> Result<> {
    const std::uint32_t owner = entry->tenant().value;
    const std::string& database = entry->settings().name;
    DO(session.run("DELETE FROM influx_fields WHERE tenant = ? AND database = ?", {owner, database}));
    DO(session.run("DELETE FROM influx_retention_policies WHERE tenant = ? AND database = ?", {owner, database}));
    DO(session.run("DELETE FROM influx_databases WHERE tenant = ? AND name = ?", {owner, database}));
    return {};
  };
  store::Database::Done done = [forget, completion](Result<> result) {
    if (result) forget();
    completion.resolve(std::move(result));
  };
  database_->submit_write(std::move(work), std::move(done));
  co_return co_await completion;
}

void Databases::save_fields(const DatabaseEntryPtr& entry, std::move_only_function<void(Result<>)> done) {
  // New ones come behind these meanwhile, so those that were saved are always the first.
  auto fields = std::make_shared<std::vector<DatabaseField>>();
  const auto saved = [entry, fields] {
    const std::unique_lock lock(entry->mutex_);
    std::erase_if(entry->unsaved_, [&](const DatabaseField& field) {
      return std::ranges::any_of(*fields, [&](const DatabaseField& one) {
        return one.name == field.name && one.measurement == field.measurement;
      });
    });
    entry->unsaved_count_.store(entry->unsaved_.size(), std::memory_order_release);
  };
  {
    const std::shared_lock lock(entry->mutex_);
    *fields = entry->unsaved_;
  }
  if (database_ == nullptr) {
    saved();
    return done({});
  }
  store::Database::Work work = [entry, fields](Session& session) -> Result<> {
    if (entry->removed()) return no_such(entry->settings().name);
    for (const DatabaseField& field : *fields) {
      DO(
          session.run("INSERT INTO influx_fields (tenant, database, measurement, field, type) VALUES (?, ?, ?, ?, ?) "
                      "ON CONFLICT (tenant, database, measurement, field) DO NOTHING",
                      {entry->tenant().value, entry->settings().name, field.measurement, field.name, field.type}));
    }
    return {};
  };
  store::Database::Done then = [saved, told = std::move(done)](Result<> result) mutable {
    if (result) saved();
    told(std::move(result));
  };
  database_->submit_write(std::move(work), std::move(then));
}

}  // namespace flux::registry
