#include <gtest/gtest.h>

#include <rapidcheck.h>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "registry/test_registry.h"

namespace flux::registry {
namespace {

constexpr TenantId kTenant = kDefaultTenant;

/// What the registry should hold: plain maps.
struct Model {
  struct Device {
    std::optional<std::string> name;
    std::optional<std::string> profile;
    std::map<std::string, std::string> labels;
    std::map<std::string, ValueType> fields;
    bool saved = true;  ///< false: only discovered; a start before it was written may forget it
    bool set = false;   ///< somebody has set something: processing must know
    friend bool operator==(const Device&, const Device&) = default;
  };
  std::map<std::string, Device> devices;
  std::map<std::string, ValueType> profiles;  ///< id → type of its metric `m`
};

/// What processing would know from the outbox alone.
struct Follower {
  std::map<std::string, DeviceChange> devices;
  std::map<std::string, ProfilePtr> profiles;
  std::uint64_t version = 0;

  void apply(const Change& change) {
    RC_ASSERT(change.version > version);
    version = change.version;
    switch (change.kind) {
      case Change::Kind::device_set: devices[change.key] = *change.device; break;
      case Change::Kind::device_removed: devices.erase(change.key); break;
      case Change::Kind::profile_set: profiles[change.key] = change.profile; break;
      case Change::Kind::profile_removed:
        profiles.erase(change.key);
        for (auto& [id, device] : devices) {
          if (device.profile == change.key) device.profile.reset();
        }
        break;
    }
  }
};

class ModelRun {
 public:
  explicit ModelRun(const std::filesystem::path& file) : registry_(file) {}

  void step() {
    const std::string device = "d" + std::to_string(*rc::gen::inRange(0, 6));
    const std::string profile = "p" + std::to_string(*rc::gen::inRange(0, 3));
    switch (*rc::gen::inRange(0, 11)) {
      case 0: create(device, maybe(profile)); break;
      case 1: update(device, maybe(profile)); break;
      case 2: remove(device); break;
      case 3:
      case 4: discover(device); break;
      case 5: create_profile(profile); break;
      case 6: put_profile(profile); break;
      case 7: remove_profile(profile); break;
      case 8: flush(); break;
      case 9: follow(*rc::gen::inRange<std::size_t>(1, 4)); break;
      case 10: restart(); break;
      default: break;
    }
    compare();
  }

  void finish() {
    flush();
    registry_.restart();
    compare();
    while (follow(100)) {
    }
    for (const auto& [id, device] : model_.devices) {
      RC_ASSERT(follower_.devices.contains(id) == device.set);
      if (!device.set) continue;
      const DeviceChange& known = follower_.devices.at(id);
      RC_ASSERT(known.name == device.name);
      RC_ASSERT(known.profile == device.profile);
      RC_ASSERT(known.labels == Labels(device.labels.begin(), device.labels.end()));
    }
    for (const auto& item : follower_.devices) RC_ASSERT(model_.devices.contains(item.first));
    RC_ASSERT(follower_.profiles.size() == model_.profiles.size());
    for (const auto& [id, type] : model_.profiles) RC_ASSERT(follower_.profiles.at(id)->metrics.at(0).type == type);
  }

 private:
  static std::optional<std::string> maybe(const std::string& text) {
    return *rc::gen::arbitrary<bool>() ? std::optional(text) : std::nullopt;
  }
  static ValueType any_type() { return static_cast<ValueType>(*rc::gen::inRange(1, 6)); }

  void create(const std::string& id, const std::optional<std::string>& profile) {
    NewDevice device{.device = id, .name = maybe("name"), .profile = profile};
    if (*rc::gen::arbitrary<bool>()) device.labels.emplace_back("site", std::to_string(*rc::gen::inRange(0, 3)));
    const auto made = registry_.wait(registry_->create_device(kTenant, device));
    if (model_.devices.contains(id)) {
      RC_ASSERT(made.error().code == ErrorCode::already_exists);
    } else if (profile && !model_.profiles.contains(*profile)) {
      RC_ASSERT(made.error().code == ErrorCode::invalid_argument);
    } else {
      RC_ASSERT(made.has_value());
      model_.devices[id] = {
          .name = device.name, .profile = profile, .labels = {device.labels.begin(), device.labels.end()}, .set = true};
    }
  }

  void update(const std::string& id, const std::optional<std::string>& profile) {
    DevicePatch patch;
    if (*rc::gen::arbitrary<bool>()) patch.name = maybe("renamed" + std::to_string(*rc::gen::inRange(0, 3)));
    if (*rc::gen::arbitrary<bool>()) patch.profile = profile;
    if (*rc::gen::arbitrary<bool>()) patch.labels = {{"site", maybe("s")}, {"k", maybe("v")}};
    if (*rc::gen::inRange(0, 4) == 0) patch.clear_labels = true;
    const auto done = registry_.wait(registry_->update_device(kTenant, id, patch));
    if (!model_.devices.contains(id)) {
      RC_ASSERT(done.error().code == ErrorCode::not_found);
      return;
    }
    Model::Device changed = model_.devices[id];
    if (patch.name) changed.name = *patch.name;
    if (patch.profile) changed.profile = *patch.profile;
    if (patch.clear_labels) changed.labels.clear();
    if (patch.labels) {
      for (const auto& [key, value] : *patch.labels) {
        if (value) changed.labels[key] = *value;
        else changed.labels.erase(key);
      }
    }
    if (patch.profile && *patch.profile && changed.profile != model_.devices[id].profile &&
        !model_.profiles.contains(**patch.profile)) {
      RC_ASSERT(done.error().code == ErrorCode::invalid_argument);
      return;
    }
    RC_ASSERT(done.has_value());
    if (changed == model_.devices[id]) return;
    // The row is written; fields that were only discovered may still have to be.
    changed.set = true;
    model_.devices[id] = changed;
  }

  void remove(const std::string& id) {
    const auto done = registry_.wait(registry_->delete_device(kTenant, id));
    RC_ASSERT(done.has_value() == (model_.devices.erase(id) == 1));
  }

  void discover(const std::string& id) {
    const std::string field = "f" + std::to_string(*rc::gen::inRange(0, 3));
    const ValueType type = any_type();
    registry_->found(kTenant, id, "telemetry", std::vector<FieldDef>{{field, type}});
    Model::Device& device = model_.devices[id];
    if (device.fields.emplace(field, type).second) device.saved = false;
  }

  Profile profile_of(const std::string& id) {
    return {.id = id, .metrics = {{.name = "m", .type = any_type()}}, .labels = {{"from", id}}};
  }
  void create_profile(const std::string& id) {
    const Profile profile = profile_of(id);
    const auto made = registry_.wait(registry_->create_profile(kTenant, profile));
    RC_ASSERT(made.has_value() == model_.profiles.try_emplace(id, profile.metrics[0].type).second);
  }
  void put_profile(const std::string& id) {
    const Profile profile = profile_of(id);
    const auto done = registry_.wait(registry_->put_profile(kTenant, profile));
    RC_ASSERT(done.has_value() == model_.profiles.contains(id));
    if (done) model_.profiles[id] = profile.metrics[0].type;
  }
  void remove_profile(const std::string& id) {
    const auto done = registry_.wait(registry_->delete_profile(kTenant, id));
    RC_ASSERT(done.has_value() == (model_.profiles.erase(id) == 1));
    for (auto& [name, device] : model_.devices) {
      if (device.profile == id) device.profile.reset();
    }
  }

  void flush() {
    RC_ASSERT(registry_.wait(registry_->flush()).has_value());
    for (auto& [id, device] : model_.devices) device.saved = true;
  }

  bool follow(std::size_t limit) {
    const auto pending = registry_.wait(registry_->pending(follower_.version, limit));
    RC_ASSERT(pending.has_value());
    for (const Change& change : *pending) follower_.apply(change);
    // Sometimes the publisher dies before it acknowledges: the same changes then come again from an older version.
    if (!pending->empty() && *rc::gen::arbitrary<bool>()) {
      RC_ASSERT(registry_.wait(registry_->ack(follower_.version)).has_value());
    }
    return !pending->empty();
  }

  void restart() {
    registry_.restart();
    // What was discovered and not flushed may or may not have been written: the log brings it back.
    for (const auto& [id, device] : model_.devices) {
      std::vector<FieldDef> fields;
      for (const auto& [name, type] : device.fields) fields.push_back({name, type});
      if (!device.saved) registry_->found(kTenant, id, "telemetry", fields);
    }
  }

  void compare() {
    RC_ASSERT(registry_.directory().size(kTenant) == model_.devices.size());
    for (const auto& [id, expected] : model_.devices) {
      const auto device = registry_.wait(registry_->get_device(kTenant, id));
      RC_ASSERT(device.has_value());
      RC_ASSERT(device->name == expected.name);
      RC_ASSERT(device->profile == expected.profile);
      auto labels = expected.labels;
      if (expected.profile) labels.try_emplace("from", *expected.profile);
      RC_ASSERT(device->labels == Labels(labels.begin(), labels.end()));
      std::map<std::string, ValueType> metrics;
      for (const Metric& metric : device->metrics) metrics[metric.name] = metric.type;
      auto fields = expected.fields;
      if (expected.profile) fields.try_emplace("m", model_.profiles.at(*expected.profile));
      RC_ASSERT(metrics == fields);
    }
    const auto list = registry_.wait(registry_->list_devices(kTenant, {}, DeviceSort::name, {}));
    RC_ASSERT(list->total == model_.devices.size());
  }

  TestRegistry registry_;
  Model model_;
  Follower follower_;
};

TEST(RegistryModel, random_operations_and_restarts_agree_with_plain_maps) {
  const bool held = rc::check([] {
    TestFolder folder;
    ModelRun run(folder.path() / "registry.db");
    const int steps = *rc::gen::inRange(1, 30);
    for (int i = 0; i < steps; ++i) run.step();
    run.finish();
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace flux::registry
