#include "registry/schema.h"

#include <gtest/gtest.h>

#include "registry/test_registry.h"

namespace flux::registry {
namespace {

/// Version 1 as it was released: a copy that never changes, whatever becomes of schema.cc.
constexpr std::string_view kVersion1 = R"sql(
        CREATE TABLE tenants (
          id         INTEGER NOT NULL PRIMARY KEY,
          name       TEXT    NOT NULL UNIQUE,
          created_at INTEGER NOT NULL
        );
        CREATE TABLE counters (
          name  TEXT    NOT NULL PRIMARY KEY,
          value INTEGER NOT NULL
        );
        INSERT INTO counters (name, value) VALUES ('change', 0), ('field_set', 0);

        CREATE TABLE profiles (
          tenant          INTEGER NOT NULL,
          profile         TEXT    NOT NULL,
          name            TEXT,
          metrics         TEXT    NOT NULL,  -- JSON array
          silent_after_ns INTEGER,
          labels          TEXT    NOT NULL,  -- JSON object
          version         INTEGER NOT NULL,
          PRIMARY KEY (tenant, profile)
        );

        -- Fields that devices have reported, with their types: devices that report the same share a row.
        CREATE TABLE field_sets (
          id     INTEGER NOT NULL PRIMARY KEY,
          fields TEXT    NOT NULL            -- JSON array of [measurement, name, type, unit?]
        );

        CREATE TABLE devices (
          tenant     INTEGER NOT NULL,
          device     TEXT    NOT NULL,
          name       TEXT,
          profile    TEXT,
          labels     TEXT,                   -- JSON object
          latitude   DOUBLE PRECISION,
          longitude  DOUBLE PRECISION,
          place      TEXT,
          demo       INTEGER NOT NULL DEFAULT 0,
          version    INTEGER NOT NULL DEFAULT 0,
          created_at INTEGER NOT NULL,
          field_set  INTEGER,               -- of field_sets
          PRIMARY KEY (tenant, device)
        );
        CREATE INDEX devices_of_profile ON devices (tenant, profile) WHERE profile IS NOT NULL;
        CREATE INDEX devices_of_demo ON devices (tenant) WHERE demo <> 0;

        CREATE TABLE dashboards (
          tenant     INTEGER NOT NULL,
          id         TEXT    NOT NULL,
          title      TEXT    NOT NULL,
          version    INTEGER NOT NULL,
          document   TEXT    NOT NULL,       -- JSON object
          created_at INTEGER NOT NULL,
          updated_at INTEGER NOT NULL,
          PRIMARY KEY (tenant, id)
        );

        -- The outbox: changes that processing must see, until they are durable in the log.
        CREATE TABLE changes (
          version  INTEGER NOT NULL PRIMARY KEY,
          tenant   INTEGER NOT NULL,
          kind     INTEGER NOT NULL,
          key      TEXT    NOT NULL,
          document TEXT                      -- JSON object: the state after it
        );
      )sql";

/// Rows as version 1 wrote them.
constexpr std::string_view kRows1[] = {
    "INSERT INTO tenants VALUES (1, 'default', 1767225600000000000)",
    "UPDATE counters SET value = 7 WHERE name = 'change'",
    "UPDATE counters SET value = 2 WHERE name = 'field_set'",
    R"(INSERT INTO profiles VALUES (1, 'pump', 'Pump', '[{"max":150.0,"min":-40.0,"name":"temperature","type":1,)"
    R"("unit":"°C"},{"max":null,"min":null,"name":"starts","type":3,"unit":null}]', 300000000000, )"
    R"('{"kind":"pump"}', 1))",
    R"(INSERT INTO field_sets VALUES (1, '[["telemetry","running",4],["telemetry","temperature",1,"K"]]'))",
    R"(INSERT INTO field_sets VALUES (2, '[["telemetry","nobody has it",5]]'))",
    R"(INSERT INTO devices VALUES (1, 'pump-1', 'Feed pump', 'pump', '{"site":"north"}', 52.5, 13.25, 'Pump house', )"
    R"(1, 6, 1767225600000000001, 1))",
    "INSERT INTO devices VALUES (1, 'plain', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 1767225600000000002, NULL)",
    R"(INSERT INTO dashboards VALUES (1, 'abc', 'Site', 3, '{"panels":[]}', 1767225600000000000, 1767225601000000000))",
    R"(INSERT INTO changes VALUES (1, 1, 1, 'pump', '{"id":"pump","labels":{"kind":"pump"},"metrics":[{"max":150.0,)"
    R"("min":-40.0,"name":"temperature","type":1,"unit":"°C"}],"name":"Pump",)"
    R"("silent_after_ns":300000000000,"version":1}'))",
    R"(INSERT INTO changes VALUES (6, 1, 3, 'pump-1', '{"demo":true,"device":"pump-1","labels":{"site":"north"},)"
    R"("location":{"lat":52.5,"lon":13.25,"place":"Pump house"},"name":"Feed pump","profile":"pump"}'))",
    "INSERT INTO changes VALUES (7, 1, 4, 'gone', NULL)",
};

TEST(RegistrySchema, version_1_opens) {
  TestFolder folder;
  const auto file = folder.path() / "registry.db";
  {
    metrics::Registry metrics;
    auto database = store::sqlite::open({.path = file}, metrics);
    ASSERT_TRUE(database);
    const store::Migration released{1, "devices", kVersion1};
    ASSERT_TRUE((*database)->migrate("registry", std::span(&released, 1)));
    for (const std::string_view row : kRows1) {
      const auto written = (*database)->write([&](store::Session& session) -> Result<> {
        DO(session.run(row));
        return {};
      });
      ASSERT_TRUE(written) << written.error().message;
    }
  }
  TestRegistry registry(file);
  const auto pump = registry.wait(registry->get_device(kDefaultTenant, "pump-1"));
  ASSERT_TRUE(pump);
  EXPECT_EQ(pump->name, "Feed pump");
  EXPECT_EQ(pump->profile, "pump");
  EXPECT_EQ(pump->labels, (Labels{{"kind", "pump"}, {"site", "north"}}));
  EXPECT_EQ(pump->location, (Location{52.5, 13.25, "Pump house"}));
  EXPECT_EQ(to_rfc3339(pump->created_at), "2026-01-01T00:00:00.000000001Z");
  EXPECT_TRUE(pump->demo);
  ASSERT_EQ(pump->metrics.size(), 3u);
  EXPECT_EQ(pump->metrics[0], (Metric{"telemetry", "running", ValueType::boolean, std::nullopt}));
  EXPECT_EQ(pump->metrics[1], (Metric{"telemetry", "starts", ValueType::uint64, std::nullopt}));
  EXPECT_EQ(pump->metrics[2], (Metric{"telemetry", "temperature", ValueType::float64, "K"}));
  EXPECT_TRUE(registry.wait(registry->get_device(kDefaultTenant, "plain"))->labels.empty());
  const auto profile = registry.wait(registry->get_profile(kDefaultTenant, "pump"));
  EXPECT_EQ((*profile)->silent_after, 5_min);
  EXPECT_EQ((*profile)->find("temperature")->max, 150);
  EXPECT_TRUE((*profile)->commands.empty());  // of version 2
  EXPECT_EQ(registry.wait(registry->get_dashboard(kDefaultTenant, "abc"))->version, 3u);
  const auto changes = registry.wait(registry->pending(0, 10));
  ASSERT_EQ(changes->size(), 3u);
  EXPECT_EQ(changes->at(0).profile->name, "Pump");
  EXPECT_EQ(changes->at(1).device->location->place, "Pump house");
  EXPECT_EQ(changes->at(2).kind, Change::Kind::device_removed);
  ASSERT_TRUE(registry.wait(registry->create_device(kDefaultTenant, {.device = "new"})));
  EXPECT_EQ(registry.wait(registry->pending(7, 10))->at(0).version, 8u);
  EXPECT_EQ(registry.wait(registry->tenant_name(kDefaultTenant)), "default");
}

}  // namespace
}  // namespace flux::registry
