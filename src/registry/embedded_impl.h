#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "registry/embedded.h"

namespace flux::registry {

/// A device's row, but for its key and fields.
struct DeviceRow {
  std::optional<std::string> name;
  std::optional<std::string> profile;
  Labels labels;
  std::optional<Location> location;
  bool demo = false;
  std::uint64_t version = 0;
  Time created_at;
};

/// `invalid_argument` unless it has 1 to 10,000 items.
Result<> check_page(const Page& page);
/// Text of people: at most `limit` bytes of UTF-8 without NUL.
Result<> check_text(const std::optional<std::string>& text, std::size_t limit, std::string_view field);

/// Every write reads what it changes in its own transaction, as earlier ones may share its commit; memory follows in
/// `done`, in the order of commits. So the database's thread is the one owner of what is marked "writer" below.
class Embedded final : public EmbeddedRegistry {
 public:
  using Session = store::Session;

  Embedded(store::Database& database, Directory& directory, runtime::Workers& workers, metrics::Registry& metrics);
  ~Embedded() override;
  Result<> load();

  Result<> flush_blocking() override;
  void on_device_removed(std::function<void(TenantId, const std::string&)> removed) override {
    device_removed_.push_back(std::move(removed));
  }

  Async<DeviceList> list_devices(TenantId tenant, DeviceFilter filter, DeviceSort sort, Page page) override;
  Async<DeviceFacets> device_facets(TenantId tenant) override;
  Async<Device> get_device(TenantId tenant, std::string device) override;
  Async<Device> create_device(TenantId tenant, NewDevice device) override;
  Async<Device> ensure_device(TenantId tenant, NewDevice device) override;
  Async<Device> update_device(TenantId tenant, std::string device, DevicePatch patch) override;
  Async<void> delete_device(TenantId tenant, std::string device) override;
  Async<std::size_t> create_devices(TenantId tenant, std::vector<NewDevice> devices) override;
  Async<std::vector<std::string>> delete_demo_devices(TenantId tenant) override;
  Async<void> set_metric_unit(TenantId tenant, std::string device, std::string measurement, std::string metric,
                              std::optional<std::string> unit) override;

  Async<Paged<ProfilePtr>> list_profiles(TenantId tenant, Page page) override;
  Async<ProfilePtr> get_profile(TenantId tenant, std::string profile) override;
  Async<ProfilePtr> create_profile(TenantId tenant, Profile profile) override;
  Async<ProfilePtr> put_profile(TenantId tenant, Profile profile) override;
  Async<void> delete_profile(TenantId tenant, std::string profile) override;

  Async<Paged<Dashboard>> list_dashboards(TenantId tenant, Page page) override;
  Async<Dashboard> get_dashboard(TenantId tenant, std::string id) override;
  Async<Dashboard> create_dashboard(TenantId tenant, std::string title, std::string document) override;
  Async<Dashboard> put_dashboard(TenantId tenant, std::string id, std::uint64_t expected_version, std::string title,
                                 std::string document) override;
  Async<void> delete_dashboard(TenantId tenant, std::string id) override;

  Async<std::string> tenant_name(TenantId tenant) override;
  Async<void> flush() override;

  Async<std::vector<Change>> pending(std::uint64_t after, std::size_t limit) override;
  Async<void> ack(std::uint64_t version) override;
  void on_added(std::function<void()> ready) override;

  void found(TenantId tenant, std::string_view device, std::string_view measurement,
             std::span<const FieldDef> fields) override;

 private:
  using DeviceKey = std::pair<std::uint32_t, std::string>;

  /// What a transaction did to one device, for memory to follow.
  struct DeviceEffect {
    TenantId tenant;
    std::string device;
    std::optional<DeviceRow> row;  ///< nothing: it was deleted
  };
  struct Effects {
    std::vector<DeviceEffect> devices;
    std::vector<ProfilePtr> put_profiles;
    std::vector<std::string> removed_profiles;
    TenantId tenant;
    bool changes = false;
  };
  /// What a transaction returns, and what it did.
  template <class T>
  struct Outcome {
    T value{};
    Effects effects;
  };
  struct Nothing {};

  /// Runs `work` (Session& → Result<Outcome<T>>) in a transaction, lets memory follow, resumes with the value.
  template <class T>
  Async<T> commit(std::move_only_function<Result<Outcome<T>>(Session&)> work);
  void follow(const Effects& effects);
  void forget_deleting(const std::vector<DeviceKey>& keys);

  // Inside a transaction.

  Result<std::optional<DeviceRow>> read_device(Session& session, TenantId tenant, const std::string& device);
  Result<> write_device(Session& session, TenantId tenant, const std::string& device, DeviceRow row, Effects& effects);
  Result<> erase_device(Session& session, TenantId tenant, const std::string& device, Effects& effects);
  Result<DeviceRow> row_of(Session& session, TenantId tenant, NewDevice device);
  Result<> need_profile(Session& session, TenantId tenant, const std::optional<std::string>& profile);
  Result<std::uint64_t> add_change(Session& session, TenantId tenant, Change::Kind kind, const std::string& key,
                                   const std::function<std::string(std::uint64_t version)>& document);
  Result<ProfilePtr> write_profile_row(Session& session, TenantId tenant, Profile profile, Effects& effects);

  struct SaveBatch;
  Result<> save_some(Session& session, SaveBatch& batch);
  void saved(SaveBatch& batch, const Result<>& result);
  Async<std::size_t> save_some_async();
  Result<std::int64_t> field_set_of(Session& session, const KnownFieldsPtr& fields, SaveBatch& batch);
  void save_loop();

  DeviceSettingsPtr settings_of(TenantId tenant, const DeviceRow& row);
  Result<Device> described(TenantId tenant, const std::string& device) const;

  store::Database& database_;
  Directory& directory_;
  runtime::Workers& workers_;
  std::vector<std::function<void(TenantId, const std::string&)>> device_removed_;

  // Writer: deletes whose commit is still to come (memory has the device, the database has it no more), and the rows of
  // sets of fields.
  std::multiset<DeviceKey> deleting_;
  struct FieldSetRow {
    KnownFieldsPtr fields;
    std::int64_t id = 0;
  };
  boost::unordered_flat_map<const KnownFields*, FieldSetRow> field_sets_;

  std::mutex added_mutex_;
  std::function<void()> added_;

  std::mutex save_mutex_;
  std::condition_variable save_wanted_;
  bool save_soon_ = false;
  bool stopping_ = false;
  std::thread saver_;

  metrics::Counter& discovered_;
  std::vector<metrics::Registration> registrations_;
};

template <class T>
Async<T> Embedded::commit(std::move_only_function<Result<Outcome<T>>(Session&)> work) {
  struct State {
    std::optional<Outcome<T>> outcome;
    std::vector<DeviceKey> deleting;
  };
  const auto state = std::make_shared<State>();
  runtime::Completion<T> completion;
  store::Database::Work run = [this, state, inner = std::move(work)](Session& session) mutable -> Result<> {
    Result<Outcome<T>> made = inner(session);
    if (!made) return std::unexpected(std::move(made).error());
    state->outcome.emplace(std::move(*made));
    for (const DeviceEffect& effect : state->outcome->effects.devices) {
      if (!effect.row) state->deleting.emplace_back(effect.tenant.value, effect.device);
    }
    deleting_.insert(state->deleting.begin(), state->deleting.end());
    return {};
  };
  store::Database::Done done = [this, state, completion](Result<> result) {
    forget_deleting(state->deleting);
    if (!result) {
      completion.resolve(std::unexpected(std::move(result).error()));
      return;
    }
    follow(state->outcome->effects);
    completion.resolve(std::move(state->outcome->value));
  };
  database_.submit_write(std::move(run), std::move(done));
  co_return co_await completion;
}

}  // namespace flux::registry
