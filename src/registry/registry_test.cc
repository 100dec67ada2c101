#include "registry/registry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "registry/test_registry.h"

namespace flux::registry {
namespace {

constexpr TenantId kTenant = kDefaultTenant;

class RegistryTest : public ::testing::Test {
 protected:
  Result<Device> create(NewDevice device) { return registry.wait(registry->create_device(kTenant, std::move(device))); }
  Result<Device> get(std::string device) { return registry.wait(registry->get_device(kTenant, std::move(device))); }
  Result<Device> patch(std::string device, DevicePatch change) {
    return registry.wait(registry->update_device(kTenant, std::move(device), std::move(change)));
  }
  Result<ProfilePtr> create_profile(Profile profile) {
    return registry.wait(registry->create_profile(kTenant, std::move(profile)));
  }
  std::vector<Change> changes(std::uint64_t after = 0) {
    auto pending = registry.wait(registry->pending(after, 1000));
    EXPECT_TRUE(pending);
    return pending ? *pending : std::vector<Change>();
  }
  static Profile pump() {
    return {.id = "pump",
            .name = "Pump",
            .metrics = {{.name = "temperature", .type = ValueType::float64, .unit = "°C", .min = -40, .max = 150},
                        {.name = "starts", .type = ValueType::uint64}},
            .silent_after = 5_min,
            .labels = {{"kind", "pump"}, {"site", "default"}},
            .commands = {{"stop", "Stops it.", {}}, {"set_speed", {}, R"({"rpm":1200})"}}};
  }

  TestFolder folder;
  TestRegistry registry{folder.path() / "registry.db"};
};

TEST_F(RegistryTest, a_device_keeps_what_it_was_given_over_a_restart) {
  ASSERT_TRUE(create_profile(pump()));
  const auto made = create({.device = "pump-1",
                            .name = "Feed pump",
                            .profile = "pump",
                            .labels = {{"site", "north"}},
                            .location = Location{52.5, 13.4, "Pump house"},
                            .demo = true});
  ASSERT_TRUE(made) << made.error().message;
  for (int round = 0; round < 2; ++round) {
    const auto device = get("pump-1");
    ASSERT_TRUE(device);
    EXPECT_EQ(device->name, "Feed pump");
    EXPECT_EQ(device->profile, "pump");
    EXPECT_EQ(device->labels, (Labels{{"kind", "pump"}, {"site", "north"}}));
    EXPECT_EQ(device->location, (Location{52.5, 13.4, "Pump house"}));
    EXPECT_TRUE(device->demo);
    EXPECT_EQ(device->state, DeviceState::never);
    EXPECT_FALSE(device->last_seen);
    EXPECT_EQ(device->created_at, made->created_at);
    ASSERT_EQ(device->metrics.size(), 2u);
    EXPECT_EQ(device->metrics[1], (Metric{"telemetry", "temperature", ValueType::float64, "°C"}));
    registry.restart();
  }
}

TEST_F(RegistryTest, a_patch_merges) {
  ASSERT_TRUE(create({.device = "d", .name = "N", .labels = {{"a", "1"}, {"b", "2"}}, .location = Location{1, 2, {}}}));
  DevicePatch change;
  change.labels = {{"a", std::nullopt}, {"c", "3"}};
  change.location.emplace();
  const auto device = patch("d", change);
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ(device->name, "N");
  EXPECT_EQ(device->labels, (Labels{{"b", "2"}, {"c", "3"}}));
  EXPECT_FALSE(device->location);
  registry.restart();
  EXPECT_EQ(get("d")->labels, (Labels{{"b", "2"}, {"c", "3"}}));
}

TEST_F(RegistryTest, errors_name_their_field) {
  const auto code_and_field = [](const auto& result) {
    return result ? std::pair(ErrorCode::internal, std::string("no error"))
                  : std::pair(result.error().code, result.error().field);
  };
  using Expected = std::pair<ErrorCode, std::string>;
  EXPECT_EQ(code_and_field(create({.device = ""})), Expected(ErrorCode::invalid_argument, "device"));
  EXPECT_EQ(code_and_field(create({.device = "a/b"})), Expected(ErrorCode::invalid_argument, "device"));
  EXPECT_EQ(code_and_field(create({.device = "d", .profile = "x"})), Expected(ErrorCode::invalid_argument, "profile"));
  EXPECT_EQ(code_and_field(create({.device = "d", .labels = {{"k", std::string(257, 'v')}}})),
            Expected(ErrorCode::invalid_argument, "labels.k"));
  EXPECT_EQ(code_and_field(create({.device = "d", .labels = {{"k", "1"}, {"k", "2"}}})),
            Expected(ErrorCode::invalid_argument, "labels.k"));
  EXPECT_EQ(code_and_field(create({.device = "d", .location = Location{91, 0, {}}})),
            Expected(ErrorCode::invalid_argument, "location.lat"));
  EXPECT_EQ(code_and_field(create({.device = "d", .location = Location{0, std::nan(""), {}}})),
            Expected(ErrorCode::invalid_argument, "location.lon"));
  EXPECT_EQ(code_and_field(get("d")), Expected(ErrorCode::not_found, "device"));
  EXPECT_EQ(code_and_field(patch("d", {})), Expected(ErrorCode::not_found, "device"));
  ASSERT_TRUE(create({.device = "d"}));
  EXPECT_EQ(code_and_field(create({.device = "d"})), Expected(ErrorCode::already_exists, "device"));
  Profile bad = pump();
  bad.metrics[1].name = "temperature";
  EXPECT_EQ(code_and_field(create_profile(bad)), Expected(ErrorCode::invalid_argument, "metrics[1].name"));
  bad = pump();
  bad.metrics[0].min = 200;
  EXPECT_EQ(code_and_field(create_profile(bad)), Expected(ErrorCode::invalid_argument, "metrics[0].min"));
  bad = pump();
  bad.silent_after = 1_ms;
  EXPECT_EQ(code_and_field(create_profile(bad)), Expected(ErrorCode::invalid_argument, "silent_after"));
}

TEST_F(RegistryTest, what_was_discovered_is_there_at_once_and_stays) {
  const auto entry = registry.directory().ensure(kTenant, "found");
  ASSERT_TRUE(entry->check_or_set_type("telemetry", "t", ValueType::float64));
  ASSERT_TRUE(entry->check_or_set_type("telemetry", "n", ValueType::int64));
  ASSERT_TRUE(get("found"));
  EXPECT_EQ(create({.device = "found"}).error().code, ErrorCode::already_exists);
  ASSERT_TRUE(registry.wait(registry->flush()));
  registry.restart();
  const auto device = get("found");
  ASSERT_TRUE(device);
  ASSERT_EQ(device->metrics.size(), 2u);
  EXPECT_EQ(device->metrics[0], (Metric{"telemetry", "n", ValueType::int64, std::nullopt}));
  const auto again = registry.directory().find(kTenant, "found");
  EXPECT_FALSE(again->check_or_set_type("telemetry", "t", ValueType::string));
}

TEST_F(RegistryTest, discovery_is_saved_in_the_background) {
  registry->found(kTenant, "quiet", "telemetry", std::vector<FieldDef>{{"t", ValueType::float64}});
  for (std::int64_t rows = 0; rows == 0;) {  // waits for the saver, however long it takes
    ASSERT_TRUE(registry.database().read([&](store::Session& session) -> Result<> {
      TRY(const auto count, session.first("SELECT count(*) FROM devices WHERE device = 'quiet'", {},
                                          [](const store::Row& row) { return row.integer(0); }));
      rows = *count;
      return {};
    }));
  }
  EXPECT_TRUE(changes().empty());  // the log knows already
}

TEST_F(RegistryTest, a_conflicting_discovery_keeps_the_type_and_the_other_fields) {
  registry->found(kTenant, "d", "telemetry", std::vector<FieldDef>{{"t", ValueType::float64}});
  registry->found(kTenant, "d", "telemetry",
                  std::vector<FieldDef>{{"t", ValueType::string}, {"u", ValueType::boolean}});
  const auto device = get("d");
  ASSERT_TRUE(device);
  ASSERT_EQ(device->metrics.size(), 2u);
  EXPECT_EQ(device->metrics[0].type, ValueType::float64);
  EXPECT_EQ(device->metrics[1].type, ValueType::boolean);
}

TEST_F(RegistryTest, a_deleted_device_is_gone_and_can_come_back) {
  std::vector<std::string> removed;
  registry->on_device_removed([&](TenantId, const std::string& device) { removed.push_back(device); });
  const auto entry = registry.directory().ensure(kTenant, "d");  // not saved yet
  ASSERT_TRUE(registry.wait(registry->delete_device(kTenant, "d")));
  EXPECT_TRUE(entry->removed());
  EXPECT_EQ(removed, std::vector<std::string>{"d"});
  EXPECT_EQ(get("d").error().code, ErrorCode::not_found);
  EXPECT_EQ(registry.wait(registry->delete_device(kTenant, "d")).error().code, ErrorCode::not_found);
  ASSERT_TRUE(registry.wait(registry->flush()));
  registry.restart();
  EXPECT_EQ(get("d").error().code, ErrorCode::not_found);
  EXPECT_FALSE(registry.directory().ensure(kTenant, "d")->removed());
  EXPECT_TRUE(get("d"));
}

TEST_F(RegistryTest, profiles_reach_their_devices_at_once) {
  ASSERT_TRUE(create_profile(pump()));
  ASSERT_TRUE(create({.device = "d", .profile = "pump"}));
  const auto entry = registry.directory().find(kTenant, "d");
  EXPECT_EQ(entry->field_type("telemetry", "starts"), ValueType::uint64);
  Profile changed = pump();
  changed.metrics[1].type = ValueType::int64;
  changed.labels = {{"kind", "pump2"}};
  ASSERT_TRUE(registry.wait(registry->put_profile(kTenant, changed)));
  EXPECT_EQ(entry->field_type("telemetry", "starts"), ValueType::int64);
  EXPECT_EQ(get("d")->labels, (Labels{{"kind", "pump2"}}));
  ASSERT_TRUE(registry.wait(registry->delete_profile(kTenant, "pump")));
  EXPECT_EQ(entry->field_type("telemetry", "starts"), std::nullopt);
  EXPECT_EQ(get("d")->profile, std::nullopt);
  ASSERT_TRUE(create_profile(pump()));  // one of the same name is another profile
  EXPECT_EQ(get("d")->profile, std::nullopt);
  registry.restart();
  EXPECT_EQ(get("d")->profile, std::nullopt);
  EXPECT_EQ(registry.wait(registry->put_profile(kTenant, {.id = "nope"})).error().code, ErrorCode::not_found);
}

TEST_F(RegistryTest, the_outbox_holds_every_change_until_it_is_acknowledged) {
  std::atomic<int> told{0};
  registry->on_added([&] { ++told; });
  ASSERT_TRUE(create_profile(pump()));
  ASSERT_TRUE(create({.device = "d", .name = "N", .profile = "pump", .labels = {{"a", "b"}}}));
  ASSERT_TRUE(patch("d", {.location = std::optional(Location{1, 2, "p"})}));
  ASSERT_TRUE(patch("d", {}));  // changes nothing, says nothing
  ASSERT_TRUE(registry.wait(registry->delete_device(kTenant, "d")));
  ASSERT_TRUE(registry.wait(registry->delete_profile(kTenant, "pump")));
  EXPECT_EQ(told, 5);
  registry->on_added(nullptr);
  registry.restart();
  auto all = changes();
  ASSERT_EQ(all.size(), 5u);
  using Kind = Change::Kind;
  const std::vector<Kind> kinds{Kind::profile_set, Kind::device_set, Kind::device_set, Kind::device_removed,
                                Kind::profile_removed};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    EXPECT_EQ(all[i].kind, kinds[i]);
    if (i > 0) EXPECT_GT(all[i].version, all[i - 1].version);
  }
  ASSERT_NE(all[0].profile, nullptr);
  EXPECT_TRUE(all[0].profile->same_as(pump()));
  EXPECT_EQ(all[0].profile->version, all[0].version);
  ASSERT_TRUE(all[2].device);
  EXPECT_EQ(all[2].device->profile, "pump");
  EXPECT_EQ(all[2].device->labels, (Labels{{"a", "b"}}));
  EXPECT_EQ(all[2].device->location, (Location{1, 2, "p"}));
  ASSERT_TRUE(registry.wait(registry->ack(all[2].version)));
  EXPECT_EQ(changes().size(), 2u);
  ASSERT_TRUE(registry.wait(registry->ack(all[4].version)));
  EXPECT_TRUE(changes().empty());
  registry.restart();
  ASSERT_TRUE(create({.device = "e"}));  // versions never start again
  EXPECT_GT(changes().at(0).version, all[4].version);
}

TEST_F(RegistryTest, dashboards_notice_who_was_quicker) {
  const auto made = registry.wait(registry->create_dashboard(kTenant, "Site", R"({"panels":[]})"));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->version, 1u);
  const auto put = [&](std::uint64_t version, std::string title) {
    return registry.wait(registry->put_dashboard(kTenant, made->id, version, std::move(title), R"({"panels":[1]})"));
  };
  EXPECT_EQ(put(1, "A")->version, 2u);
  const auto late = put(1, "B");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::already_exists);
  EXPECT_NE(late.error().message.find("version 2"), std::string::npos);
  registry.restart();
  const auto got = registry.wait(registry->get_dashboard(kTenant, made->id));
  EXPECT_EQ(got->title, "A");
  EXPECT_EQ(got->document, R"({"panels":[1]})");
  EXPECT_EQ(registry.wait(registry->create_dashboard(kTenant, "x", "[]")).error().field, "document");
  EXPECT_EQ(registry.wait(registry->create_dashboard(kTenant, "", "{}")).error().field, "title");
  ASSERT_TRUE(registry.wait(registry->delete_dashboard(kTenant, made->id)));
  EXPECT_EQ(registry.wait(registry->get_dashboard(kTenant, made->id)).error().code, ErrorCode::not_found);
}

TEST_F(RegistryTest, dashboards_and_profiles_come_in_pages) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(registry.wait(registry->create_dashboard(kTenant, "d" + std::to_string(i), "{}")));
    Profile profile = pump();
    profile.id = "p" + std::to_string(i);
    ASSERT_TRUE(create_profile(profile));
  }
  Page page{.limit = 2};
  std::set<std::string> ids;
  for (int round = 0; round < 3; ++round) {
    const auto list = registry.wait(registry->list_dashboards(kTenant, page));
    for (const auto& item : list->items) ids.insert(item.title);
    page.cursor = list->next;
    EXPECT_EQ(page.cursor.empty(), round == 2);
  }
  EXPECT_EQ(ids.size(), 5u);
  page = {.limit = 3};
  EXPECT_EQ(registry.wait(registry->list_profiles(kTenant, page))->items.size(), 3u);
  page.cursor = registry.wait(registry->list_profiles(kTenant, page))->next;
  EXPECT_EQ(registry.wait(registry->list_profiles(kTenant, page))->items.size(), 2u);
  page.cursor = "!!";
  EXPECT_EQ(registry.wait(registry->list_profiles(kTenant, page)).error().field, "cursor");
}

TEST_F(RegistryTest, the_demo_site_comes_and_goes_as_a_whole) {
  ASSERT_TRUE(create({.device = "mine"}));
  std::vector<NewDevice> site;
  for (int i = 0; i < 50; ++i) site.push_back({.device = "demo-" + std::to_string(i), .demo = true});
  site.push_back({.device = "mine", .demo = true});  // somebody's own device stays as it is
  EXPECT_EQ(registry.wait(registry->create_devices(kTenant, site)).value(), 50u);
  EXPECT_EQ(registry.directory().size(kTenant), 51u);
  EXPECT_EQ(registry.wait(registry->create_devices(kTenant, site)).value(), 0u);
  const auto gone = registry.wait(registry->delete_demo_devices(kTenant));
  EXPECT_EQ(gone->size(), 50u);
  EXPECT_EQ(registry.directory().size(kTenant), 1u);
  site[3].device = "bad/id";
  EXPECT_EQ(registry.wait(registry->create_devices(kTenant, site)).error().field, "[3].device");
}

TEST_F(RegistryTest, units_can_be_set_on_what_a_device_reports) {
  registry->found(kTenant, "d", "telemetry", std::vector<FieldDef>{{"t", ValueType::float64}});
  ASSERT_TRUE(registry.wait(registry->set_metric_unit(kTenant, "d", "telemetry", "t", "°C")));
  registry.restart();
  EXPECT_EQ(get("d")->metrics.at(0).unit, "°C");
  EXPECT_EQ(registry.wait(registry->set_metric_unit(kTenant, "d", "telemetry", "x", "°C")).error().code,
            ErrorCode::not_found);
}

TEST_F(RegistryTest, ensure_device_makes_or_merges) {
  ASSERT_TRUE(create_profile(pump()));
  const auto ensure = [&](NewDevice device) {
    return registry.wait(registry->ensure_device(kTenant, std::move(device)));
  };
  ASSERT_TRUE(ensure({.device = "d", .labels = {{"a", "1"}}}));
  const auto merged = ensure({.device = "d", .profile = "pump", .labels = {{"b", "2"}}});
  ASSERT_TRUE(merged);
  EXPECT_EQ(merged->profile, "pump");
  EXPECT_EQ(merged->labels.size(), 4u);
  registry.directory().ensure(kTenant, "memory");
  ASSERT_TRUE(ensure({.device = "memory"}));
  registry.restart();
  EXPECT_TRUE(get("memory"));
}

TEST(RegistryFaults, a_full_disk_is_said_and_memory_does_not_run_ahead) {
  TestFolder folder;
  TestRegistry registry(folder.path() / "registry.db", 400_KiB);
  int made = 0;
  Result<Device> last;
  while (made < 10'000) {
    NewDevice device{.device = "d" + std::to_string(made), .name = std::string(250, 'n')};
    last = registry.wait(registry->create_device(kTenant, std::move(device)));
    if (!last) break;
    ++made;
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, ErrorCode::unavailable) << last.error().message;
  EXPECT_EQ(registry.directory().find(kTenant, "d" + std::to_string(made)), nullptr);
  EXPECT_EQ(registry.directory().size(kTenant), static_cast<std::size_t>(made));
  // Discovery goes on in memory, and is saved once there is room.
  registry.directory().ensure(kTenant, "late");
  ASSERT_TRUE(registry.wait(registry->get_device(kTenant, "late")));
  for (int i = 0; i < made / 2; ++i) {
    ASSERT_TRUE(registry.database().write([&](store::Session& session) -> Result<> {
      DO(session.run("DELETE FROM changes WHERE version <= ?", {i}));
      return {};
    }));
  }
  ASSERT_TRUE(registry->flush_blocking());
  registry.restart();
  EXPECT_TRUE(registry.wait(registry->get_device(kTenant, "late")));
  EXPECT_EQ(registry.directory().size(kTenant), static_cast<std::size_t>(made) + 1);
}

}  // namespace
}  // namespace flux::registry
