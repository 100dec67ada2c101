#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/shape.h"
#include "core/time.h"
#include "core/value.h"
#include "runtime/async.h"
#include "store/database/database.h"

/// Databases in InfluxDB's sense: names that a tenant's line protocol is written under, each with its retention
/// policies and its own types of fields.
namespace flux::registry {

/// Tags that name the device of a line, the first that is there counts.
inline constexpr std::string_view kDeviceTags[] = {"device", "device_id", "host", "hostname", "name"};

struct RetentionPolicy {
  std::string name;
  Duration duration;  ///< 0: for ever
  friend bool operator==(const RetentionPolicy&, const RetentionPolicy&) = default;
};

struct NewDatabase {
  std::string name;  ///< also the id of its virtual device, so it must pass `check_device_id`
  std::vector<std::string> device_tags{std::begin(kDeviceTags), std::end(kDeviceTags)};
};

/// A database as it is kept; immutable.
struct DatabaseSettings {
  std::string name;
  std::vector<RetentionPolicy> retention_policies;  ///< the first is the default
  std::vector<std::string> device_tags;
  Time created_at;
};

/// A field of a measurement, with the type that its first line fixed.
struct DatabaseField {
  std::string measurement;
  std::string name;
  ValueType type = ValueType::float64;
};

/// One database in memory. Any thread. After it was dropped its holders find `removed()` true.
class DatabaseEntry {
 public:
  DatabaseEntry(TenantId tenant, DatabaseSettings settings) : tenant_(tenant), settings_(std::move(settings)) {}
  DatabaseEntry(const DatabaseEntry&) = delete;
  DatabaseEntry& operator=(const DatabaseEntry&) = delete;

  [[nodiscard]] TenantId tenant() const { return tenant_; }
  [[nodiscard]] const DatabaseSettings& settings() const { return settings_; }
  [[nodiscard]] bool removed() const { return removed_.load(std::memory_order_acquire); }
  [[nodiscard]] bool has_policy(std::string_view name) const;

  /// Fixes the types of fields that are new, or compares with what is known: all or none. Fails in InfluxDB's words,
  /// `Error::field` is the field's name. New ones are to be saved before anybody is told that they were taken: see
  /// `Databases::save_fields`.
  Result<> check_or_set_types(std::string_view measurement, std::span<const FieldDef> fields);
  /// There are types that the database does not have yet.
  [[nodiscard]] bool unsaved() const { return unsaved_count_.load(std::memory_order_acquire) != 0; }
  /// By measurement, then name.
  [[nodiscard]] std::vector<DatabaseField> fields() const;
  /// Of any measurement.
  [[nodiscard]] bool has_field(std::string_view name) const;

 private:
  friend class Databases;
  using Types = std::map<std::string, ValueType, std::less<>>;

  const TenantId tenant_;
  const DatabaseSettings settings_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, Types, std::less<>> types_;
  std::vector<DatabaseField> unsaved_;
  std::atomic<std::size_t> unsaved_count_{0};
  std::atomic<bool> removed_{false};
};
using DatabaseEntryPtr = std::shared_ptr<DatabaseEntry>;

/// Finds, makes and drops databases. Asynchronous calls come from shards, the rest is for any thread.
class Databases {
 public:
  /// After the registry was opened, whose tables these are: loads them all. Blocking. `database` must outlive it.
  static Result<std::unique_ptr<Databases>> open(store::Database& database);
  /// Kept in memory alone, for tests.
  Databases();
  ~Databases();

  [[nodiscard]] DatabaseEntryPtr find(TenantId tenant, std::string_view name) const;
  [[nodiscard]] std::vector<DatabaseEntryPtr> list(TenantId tenant) const;  ///< by name

  /// Durable when this returns. `already_exists`; `invalid_argument` names the field.
  Async<DatabaseEntryPtr> create(TenantId tenant, NewDatabase database);
  /// As `create`, or the one that is there.
  Async<DatabaseEntryPtr> ensure(TenantId tenant, NewDatabase database);
  /// Forgets it and its fields; its readings are the caller's business. `not_found`; `invalid_argument` for `default`.
  Async<void> drop(TenantId tenant, std::string name);

  /// Makes every type that was fixed before the call durable, then calls `done` (on the database's thread, or at once).
  void save_fields(const DatabaseEntryPtr& entry, std::move_only_function<void(Result<>)> done);

 private:
  using Key = std::pair<std::uint32_t, std::string>;
  struct KeyLess {
    using is_transparent = void;
    using View = std::pair<std::uint32_t, std::string_view>;
    static View view(const Key& key) { return {key.first, key.second}; }
    static View view(const View& key) { return key; }
    bool operator()(const auto& a, const auto& b) const { return view(a) < view(b); }
  };
  Result<> load();
  void put(DatabaseEntryPtr entry);

  store::Database* database_ = nullptr;
  mutable std::shared_mutex mutex_;
  std::map<Key, DatabaseEntryPtr, KeyLess> entries_;
};

/// `float`, `integer`, `unsigned`, `boolean`, `string`: InfluxDB's words.
std::string_view influx_type(ValueType type);

}  // namespace flux::registry
