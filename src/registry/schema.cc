#include "registry/schema.h"

#include <array>

namespace flux::registry {

std::span<const store::Migration> migrations() {
  // INTEGER has 64 bits in every adapter. Times and durations are nanoseconds.
  static constexpr std::array kMigrations = {
      store::Migration{1, "devices", R"sql(
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
      )sql"},
      store::Migration{2, "profile_commands", R"sql(
        ALTER TABLE profiles ADD COLUMN commands TEXT NOT NULL DEFAULT '[]';  -- JSON array
        )sql"},
      store::Migration{3, "databases", R"sql(
        -- What line protocol calls a database.
        CREATE TABLE influx_databases (
          tenant      INTEGER NOT NULL,
          name        TEXT    NOT NULL,
          device_tags TEXT    NOT NULL,      -- JSON array: tags that name a line's device, in order
          created_at  INTEGER NOT NULL,
          PRIMARY KEY (tenant, name)
        );
        CREATE TABLE influx_retention_policies (
          tenant      INTEGER NOT NULL,
          database    TEXT    NOT NULL,
          name        TEXT    NOT NULL,
          position    INTEGER NOT NULL,      -- 0: the default
          duration_ns INTEGER NOT NULL,      -- 0: for ever
          PRIMARY KEY (tenant, database, name)
        );

        -- The types that the first lines of a database gave its fields: durable before those lines are acknowledged.
        CREATE TABLE influx_fields (
          tenant      INTEGER NOT NULL,
          database    TEXT    NOT NULL,
          measurement TEXT    NOT NULL,
          field       TEXT    NOT NULL,
          type        INTEGER NOT NULL,
          PRIMARY KEY (tenant, database, measurement, field)
        );
      )sql"},
  };
  return kMigrations;
}

}  // namespace flux::registry
