#include "control/schema.h"

#include <array>

namespace flux::control {

std::span<const store::Migration> migrations() {
  // Times are nanoseconds since 1970. What is not finished has no finished_at: the two partial indexes hold just those.
  static constexpr std::array kMigrations = {
      store::Migration{1, "commands", R"sql(
        CREATE TABLE commands (
          sequence     INTEGER NOT NULL PRIMARY KEY,
          id           TEXT    NOT NULL UNIQUE,
          tenant       INTEGER NOT NULL,
          device       TEXT    NOT NULL,
          name         TEXT    NOT NULL,
          payload      TEXT    NOT NULL,   -- JSON
          response     INTEGER NOT NULL,   -- 1: an answer is waited for
          sender       TEXT    NOT NULL,   -- user name
          request_key  TEXT,
          state        INTEGER NOT NULL,   -- control::State
          created_at   INTEGER NOT NULL,
          expires_at   INTEGER NOT NULL,
          sent_at      INTEGER,
          delivered_at INTEGER,
          finished_at  INTEGER,
          deliveries   INTEGER NOT NULL DEFAULT 0,
          result       TEXT,               -- JSON
          reason       TEXT    NOT NULL DEFAULT ''
        );
        CREATE INDEX commands_of_tenant ON commands (tenant, sequence);
        CREATE INDEX commands_of_device ON commands (tenant, device, sequence);
        CREATE INDEX commands_of_request ON commands (tenant, request_key) WHERE request_key IS NOT NULL;
        CREATE INDEX commands_waiting ON commands (tenant, device, sequence) WHERE finished_at IS NULL;
        CREATE INDEX commands_due ON commands (expires_at) WHERE finished_at IS NULL;
        CREATE INDEX commands_old ON commands (finished_at) WHERE finished_at IS NOT NULL;

        -- What a client's key stood for when it was first used.
        CREATE TABLE command_requests (
          tenant      INTEGER NOT NULL,
          request_key TEXT    NOT NULL,
          digest      TEXT    NOT NULL,
          created_at  INTEGER NOT NULL,
          PRIMARY KEY (tenant, request_key)
        );
      )sql"},
  };
  return kMigrations;
}

}  // namespace flux::control
