#include "control/command_table.h"

#include "auth/secrets.h"

namespace flux::control::table {
namespace {

using store::Row;
using store::Session;

#define FLUX_COMMAND_COLUMNS                                                                                \
  "sequence, id, tenant, device, name, payload, response, sender, state, created_at, expires_at, sent_at, " \
  "delivered_at, finished_at, deliveries, result, reason"

Command read(const Row& row) {
  Command command;
  command.sequence = static_cast<std::uint64_t>(row.integer(0));
  command.id = row.text(1);
  command.tenant = {static_cast<std::uint32_t>(row.integer(2))};
  command.device = row.text(3);
  command.name = row.text(4);
  command.payload = row.text(5);
  command.response = row.boolean(6);
  command.sender = row.text(7);
  command.state = static_cast<State>(row.integer(8));
  command.created_at = row.time(9);
  command.expires_at = row.time(10);
  command.sent_at = row.optional_time(11);
  command.delivered_at = row.optional_time(12);
  command.finished_at = row.optional_time(13);
  command.deliveries = static_cast<std::uint32_t>(row.integer(14));
  command.result = row.optional_text(15);
  command.reason = row.text(16);
  return command;
}

Result<std::optional<Command>> find(Session& session, TenantId tenant, const std::string& id) {
  return session.first("SELECT " FLUX_COMMAND_COLUMNS " FROM commands WHERE id = ? AND tenant = ?", {id, tenant.value},
                       read);
}

Result<> save(Session& session, const Command& before, Command after, Changes& changes) {
  DO(
      session.run("UPDATE commands SET state = ?, sent_at = ?, delivered_at = ?, finished_at = ?, deliveries = ?, "
                  "result = ?, reason = ? WHERE sequence = ?",
                  {after.state, after.sent_at, after.delivered_at, after.finished_at, after.deliveries, after.result,
                   after.reason, after.sequence}));
  changes.push_back({before.finished() ? std::nullopt : std::optional(before.state), std::move(after)});
  return {};
}

Result<> finish(Session& session, const Command& before, State state, std::string reason, Time now, Changes& changes) {
  Command after = before;
  after.state = state;
  after.reason = std::move(reason);
  after.finished_at = now;
  return save(session, before, std::move(after), changes);
}

/// What is known of a command whose time is over.
Result<> end_of_time(Session& session, const Command& command, Time now, Changes& changes) {
  const char* why = "its time was over before the device came for it";
  if (command.state == State::sent) why = "its time was over; it was sent, and the device never said that it has it";
  if (command.state == State::delivered) why = "its time was over; the device has it and did not answer";
  return finish(session, command, State::expired, why, now, changes);
}

std::unexpected<Error> no_command(const std::string& id) {
  return fail(ErrorCode::not_found, "there is no command `" + id + "`", "id");
}

}  // namespace

Result<std::vector<Command>> create(Session& session, const NewCommands& wanted, std::size_t waiting, Time now,
                                    Changes& changes) {
  std::vector<Command> made;
  if (!wanted.key.empty()) {
    TRY(const auto known,
        session.first("SELECT digest FROM command_requests WHERE tenant = ? AND request_key = ?",
                      {wanted.tenant.value, wanted.key}, [](const Row& row) { return std::string(row.text(0)); }));
    if (known && *known != wanted.digest)
      return fail(ErrorCode::already_exists, "the key was used for another request before", "key");
    if (known) {
      DO(session.each("SELECT " FLUX_COMMAND_COLUMNS
                      " FROM commands WHERE tenant = ? AND request_key = ? ORDER BY sequence",
                      {wanted.tenant.value, wanted.key}, [&](const Row& row) -> Result<> {
                        made.push_back(read(row));
                        return {};
                      }));
      return made;
    }
    DO(session.run("INSERT INTO command_requests (tenant, request_key, digest, created_at) VALUES (?, ?, ?, ?)",
                   {wanted.tenant.value, wanted.key, wanted.digest, now}));
  }
  TRY(const auto last, session.first("SELECT COALESCE(MAX(sequence), 0) FROM commands", {},
                                     [](const Row& row) { return static_cast<std::uint64_t>(row.integer(0)); }));
  std::uint64_t sequence = last.value_or(0);
  for (const std::string& device : wanted.devices) {
    TRY(const auto count, session.first("SELECT COUNT(*) FROM commands WHERE tenant = ? AND device = ? AND "
                                        "finished_at IS NULL",
                                        {wanted.tenant.value, device},
                                        [](const Row& row) { return static_cast<std::size_t>(row.integer(0)); }));
    if (count.value_or(0) >= waiting)
      return fail(ErrorCode::exhausted,
                  std::to_string(waiting) + " commands of device `" + device +
                      "` are not finished: no more are taken (control.waiting_per_device)",
                  "device");
    Command command{.sequence = ++sequence,
                    .id = auth::random_token(12),
                    .tenant = wanted.tenant,
                    .device = device,
                    .name = wanted.name,
                    .payload = wanted.payload,
                    .response = wanted.response,
                    .sender = wanted.sender,
                    .created_at = now,
                    .expires_at = wanted.expires_at,
                    .sent_at = {},
                    .delivered_at = {},
                    .finished_at = {},
                    .result = {},
                    .reason = {}};
    std::optional<std::string> key;
    if (!wanted.key.empty()) key = wanted.key;
    DO(
        session.run("INSERT INTO commands (sequence, id, tenant, device, name, payload, response, sender, request_key, "
                    "state, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    {command.sequence, command.id, command.tenant.value, command.device, command.name, command.payload,
                     command.response, command.sender, key, command.state, command.created_at, command.expires_at}));
    changes.push_back({std::nullopt, command});
    made.push_back(std::move(command));
  }
  return made;
}

Result<std::optional<Command>> take(Session& session, TenantId tenant, const std::string& device, Time now,
                                    Changes& changes) {
  for (;;) {
    TRY(auto next,
        session.first("SELECT " FLUX_COMMAND_COLUMNS
                      " FROM commands WHERE tenant = ? AND device = ? AND finished_at IS NULL AND state <= 2 "
                      "ORDER BY sequence LIMIT 1",
                      {tenant.value, device}, read));
    if (!next) return std::nullopt;
    if (next->expires_at <= now) {
      DO(end_of_time(session, *next, now, changes));
      continue;
    }
    const Command before = *next;
    next->state = State::sent;
    if (!next->sent_at) next->sent_at = now;
    ++next->deliveries;
    DO(save(session, before, *next, changes));
    return next;
  }
}

Result<> received(Session& session, TenantId tenant, const std::string& device, const std::string& id, Time now,
                  Changes& changes) {
  TRY(const auto command, find(session, tenant, id));
  if (!command || command->device != device || !command->sent_at || command->delivered_at) return {};
  Command after = *command;
  after.delivered_at = now;
  if (!command->finished()) {
    after.state = State::delivered;
    if (!after.response) after.finished_at = now;
  }
  return save(session, *command, std::move(after), changes);
}

Result<> refused(Session& session, TenantId tenant, const std::string& device, const std::string& id, bool had,
                 const std::string& reason, Time now, Changes& changes) {
  TRY(const auto command, find(session, tenant, id));
  if (!command || command->device != device || command->finished()) return {};
  Command after = *command;
  if (had && !after.delivered_at) after.delivered_at = now;
  after.state = State::failed;
  after.reason = reason;
  after.finished_at = now;
  return save(session, *command, std::move(after), changes);
}

Result<> answered(Session& session, TenantId tenant, const std::string& device, const std::string& id,
                  const Answer& answer, Time now, Changes& changes) {
  TRY(const auto command, find(session, tenant, id));
  if (!command || command->device != device || !command->sent_at || command->state == State::cancelled)
    return fail(ErrorCode::not_found, "no command `" + id + "` was sent to device `" + device + "`");
  const State said = answer.succeeded ? State::succeeded : State::failed;
  if (command->state == State::succeeded || command->state == State::failed) {
    if (command->state == said) return {};
    return fail(ErrorCode::already_exists,
                "command `" + id + "` has " + std::string(to_string(command->state)) + " already");
  }
  Command after = *command;
  if (!after.delivered_at) after.delivered_at = now;
  if (command->state == State::expired) {
    if (command->result || command->reason.contains("it answered afterwards")) return {};
    after.result = answer.result;
    after.reason += std::string("; it answered afterwards: ").append(to_string(said));
    if (!answer.reason.empty()) after.reason += ", " + answer.reason;
    return save(session, *command, std::move(after), changes);
  }
  after.state = said;
  after.result = answer.result;
  after.reason = answer.reason;
  after.finished_at = now;
  return save(session, *command, std::move(after), changes);
}

Result<Command> cancel(Session& session, TenantId tenant, const std::string& id, const std::string& by, Time now,
                       Changes& changes) {
  TRY(const auto command, find(session, tenant, id));
  if (!command) return no_command(id);
  if (command->state == State::sent && !command->finished())
    return fail(ErrorCode::already_exists, "it was sent: the device may have it, so it cannot be taken back");
  if (command->state != State::queued)
    return fail(ErrorCode::already_exists, "it is " + std::string(to_string(command->state)) + " already");
  DO(finish(session, *command, State::cancelled, "cancelled by " + by, now, changes));
  return changes.back().after;
}

Result<> cancel_all(Session& session, TenantId tenant, const std::string& device, Time until, Time now,
                    Changes& changes) {
  std::vector<Command> waiting;
  DO(session.each("SELECT " FLUX_COMMAND_COLUMNS
                  " FROM commands WHERE tenant = ? AND device = ? AND finished_at IS NULL AND created_at <= ?",
                  {tenant.value, device, until}, [&](const Row& row) -> Result<> {
                    waiting.push_back(read(row));
                    return {};
                  }));
  for (const Command& command : waiting)
    DO(finish(session, command, State::cancelled, "the device was deleted", now, changes));
  return {};
}

Result<std::optional<Time>> expire(Session& session, Time now, std::size_t limit, Changes& changes) {
  std::vector<Command> due;
  DO(session.each("SELECT " FLUX_COMMAND_COLUMNS
                  " FROM commands WHERE finished_at IS NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?",
                  {now, limit}, [&](const Row& row) -> Result<> {
                    due.push_back(read(row));
                    return {};
                  }));
  for (const Command& command : due) DO(end_of_time(session, command, now, changes));
  TRY(const auto next, session.first("SELECT MIN(expires_at) FROM commands WHERE finished_at IS NULL", {},
                                     [](const Row& row) { return row.optional_time(0); }));
  return next.value_or(std::nullopt);
}

Result<std::size_t> forget(Session& session, Time before, std::size_t limit) {
  TRY(const auto gone, session.run("DELETE FROM commands WHERE sequence IN (SELECT sequence FROM commands WHERE "
                                   "finished_at IS NOT NULL AND finished_at < ? LIMIT ?)",
                                   {before, limit}));
  DO(
      session.run("DELETE FROM command_requests WHERE created_at < ? AND NOT EXISTS (SELECT 1 FROM commands WHERE "
                  "commands.tenant = command_requests.tenant AND commands.request_key = command_requests.request_key)",
                  {before}));
  return gone;
}

Result<std::vector<Command>> list(Session& session, const Filter& filter) {
  std::vector<Command> commands;
  const auto add = [&](const Row& row) -> Result<> {
    commands.push_back(read(row));
    return {};
  };
  const int state = filter.state ? static_cast<int>(*filter.state) : 0;
  if (filter.device) {
    DO(session.each("SELECT " FLUX_COMMAND_COLUMNS " FROM commands WHERE tenant = ? AND device = ? AND sequence < ? "
                    "AND (? = 0 OR state = ?) ORDER BY sequence DESC LIMIT ?",
                    {filter.tenant.value, *filter.device, filter.below, state, state, filter.limit}, add));
  } else {
    DO(session.each("SELECT " FLUX_COMMAND_COLUMNS " FROM commands WHERE tenant = ? AND sequence < ? "
                    "AND (? = 0 OR state = ?) ORDER BY sequence DESC LIMIT ?",
                    {filter.tenant.value, filter.below, state, state, filter.limit}, add));
  }
  return commands;
}

Result<Command> get(Session& session, TenantId tenant, const std::string& id) {
  TRY(auto command, find(session, tenant, id));
  if (!command) return no_command(id);
  return *std::move(command);
}

Result<Waiting> count_waiting(Session& session) {
  Waiting waiting;
  DO(session.each("SELECT state, COUNT(*) FROM commands WHERE finished_at IS NULL GROUP BY state", {},
                  [&](const Row& row) -> Result<> {
                    const auto count = static_cast<std::size_t>(row.integer(1));
                    switch (static_cast<State>(row.integer(0))) {
                      case State::queued: waiting.queued = count; break;
                      case State::sent: waiting.sent = count; break;
                      case State::delivered: waiting.delivered = count; break;
                      default: return fail(ErrorCode::corrupt, "a command has a final state and no end");
                    }
                    return {};
                  }));
  return waiting;
}

Result<std::vector<std::pair<TenantId, std::string>>> waiting_devices(Session& session) {
  std::vector<std::pair<TenantId, std::string>> devices;
  DO(session.each("SELECT DISTINCT tenant, device FROM commands WHERE finished_at IS NULL", {},
                  [&](const Row& row) -> Result<> {
                    devices.emplace_back(TenantId{static_cast<std::uint32_t>(row.integer(0))}, row.text(1));
                    return {};
                  }));
  return devices;
}

}  // namespace flux::control::table
