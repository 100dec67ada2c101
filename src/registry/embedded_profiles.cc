#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "registry/documents.h"
#include "registry/embedded_impl.h"
#include "registry/text.h"

namespace flux::registry {

namespace {

constexpr std::size_t kTextBytes = 256;
constexpr std::size_t kUnitBytes = 64;
constexpr std::size_t kMetricLimit = 1'000;
constexpr std::size_t kCommandLimit = 100;
constexpr std::size_t kExampleBytes = 4'096;
constexpr std::size_t kDocumentBytes = std::size_t{1} << 20;

Result<> check_metric(const ProfileMetric& metric, const std::string& path) {
  DO(check_metric_name(metric.name, path + ".name"));
  DO(check_text(metric.unit, kUnitBytes, path + ".unit"));
  const bool number = metric.type != ValueType::boolean && metric.type != ValueType::string;
  for (const auto& [bound, name] : {std::pair(metric.min, ".min"), std::pair(metric.max, ".max")}) {
    if (!bound) continue;
    if (!number) {
      return fail(ErrorCode::invalid_argument,
                  "a metric of type " + std::string(to_string(metric.type)) + " has no range", path + name);
    }
    if (!std::isfinite(*bound)) return fail(ErrorCode::invalid_argument, "expected a finite number", path + name);
  }
  if (metric.min && metric.max && *metric.min > *metric.max) {
    return fail(ErrorCode::invalid_argument, "min is greater than max", path + ".min");
  }
  return {};
}

Result<> check_profile(Profile& profile) {
  DO(check_profile_id(profile.id));
  if (profile.name && profile.name->empty()) profile.name.reset();
  DO(check_text(profile.name, kTextBytes, "name"));
  if (profile.metrics.size() > kMetricLimit) {
    return fail(ErrorCode::invalid_argument, "a profile has at most " + std::to_string(kMetricLimit) + " metrics",
                "metrics");
  }
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < profile.metrics.size(); ++i) {
    ProfileMetric& metric = profile.metrics[i];
    const std::string path = "metrics[" + std::to_string(i) + "]";
    if (metric.unit && metric.unit->empty()) metric.unit.reset();
    DO(check_metric(metric, path));
    if (!names.insert(metric.name).second) {
      return fail(ErrorCode::invalid_argument, "metric `" + metric.name + "` stands there twice", path + ".name");
    }
  }
  if (profile.silent_after && (*profile.silent_after < 1_s || *profile.silent_after > 24_h * 3660)) {
    return fail(ErrorCode::invalid_argument, "expected a duration between 1s and ten years", "silent_after");
  }
  TRY(profile.labels, check_labels(std::move(profile.labels)));
  if (profile.commands.size() > kCommandLimit) {
    return fail(ErrorCode::invalid_argument, "a profile has at most " + std::to_string(kCommandLimit) + " commands",
                "commands");
  }
  std::set<std::string_view> commands;
  for (std::size_t i = 0; i < profile.commands.size(); ++i) {
    ProfileCommand& command = profile.commands[i];
    const std::string path = "commands[" + std::to_string(i) + "]";
    DO(check_metric_name(command.name, path + ".name"));
    if (command.description && command.description->empty()) command.description.reset();
    DO(check_text(command.description, kTextBytes, path + ".description"));
    if (command.example.size() > kExampleBytes) {
      return fail(ErrorCode::invalid_argument, "at most " + std::to_string(kExampleBytes) + " bytes are allowed",
                  path + ".example");
    }
    if (!commands.insert(command.name).second) {
      return fail(ErrorCode::invalid_argument, "command `" + command.name + "` stands there twice", path + ".name");
    }
  }
  return {};
}

Result<> check_dashboard(const std::string& title, const std::string& document) {
  if (title.empty()) return fail(ErrorCode::invalid_argument, "a dashboard has a title", "title");
  DO(check_text(title, kTextBytes, "title"));
  if (document.size() > kDocumentBytes) {
    return fail(ErrorCode::too_large, "a dashboard has at most " + std::to_string(kDocumentBytes) + " bytes",
                "document");
  }
  return check_json_object(document, "document");
}

/// 80 random bits as 16 letters and digits.
std::string random_id() {
  static constexpr std::string_view kDigits = "abcdefghijklmnopqrstuvwxyz234567";
  std::array<unsigned char, 16> random{};
  CHECK(::getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()));
  std::string id;
  for (const unsigned char byte : random) id += kDigits[byte & 31];
  return id;
}

Result<std::string> read_list_cursor(const Page& page) {
  if (page.cursor.empty()) return std::string();
  CursorReader reader(page.cursor);
  std::string last = reader.text();
  if (!reader.complete()) return fail(ErrorCode::invalid_argument, "this is not a cursor of this list", "cursor");
  return last;
}

std::string write_list_cursor(std::string_view last) {
  CursorWriter writer;
  writer.text(last);
  return writer.take();
}

std::unexpected<Error> no_profile(const std::string& profile) {
  return fail(ErrorCode::not_found, "there is no profile `" + profile + "`", "profile");
}
std::unexpected<Error> no_dashboard(const std::string& id) {
  return fail(ErrorCode::not_found, "there is no dashboard `" + id + "`", "id");
}

Result<bool> profile_exists(store::Session& session, TenantId tenant, const std::string& profile) {
  TRY(const auto found, session.first("SELECT 1 FROM profiles WHERE tenant = ? AND profile = ?",
                                      {tenant.value, profile}, [](const store::Row&) { return true; }));
  return found.has_value();
}

}  // namespace

Result<ProfilePtr> Embedded::write_profile_row(Session& session, TenantId tenant, Profile profile, Effects& effects) {
  TRY(profile.version, add_change(session, tenant, Change::Kind::profile_set, profile.id, [&](std::uint64_t version) {
        profile.version = version;
        return write_profile(profile);
      }));
  std::optional<std::int64_t> silent_after;
  if (profile.silent_after) silent_after = profile.silent_after->ns;
  DO(
      session.run("INSERT INTO profiles (tenant, profile, name, metrics, silent_after_ns, labels, version, commands) "
                  "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, profile) DO UPDATE SET name = excluded.name, "
                  "metrics = excluded.metrics, silent_after_ns = excluded.silent_after_ns, labels = excluded.labels, "
                  "version = excluded.version, commands = excluded.commands",
                  {tenant.value, profile.id, profile.name, write_metrics(profile.metrics), silent_after,
                   write_labels(profile.labels), profile.version, write_commands(profile.commands)}));
  auto shared = std::make_shared<const Profile>(std::move(profile));
  effects.changes = true;
  effects.put_profiles.push_back(shared);
  return shared;
}

Async<Paged<ProfilePtr>> Embedded::list_profiles(TenantId tenant, Page page) {
  CO_DO(check_page(page));
  CO_TRY(const auto last, read_list_cursor(page));
  Paged<ProfilePtr> list;
  for (auto& profile : directory_.profiles(tenant)) {
    if (profile == nullptr || (!last.empty() && profile->id <= last)) continue;
    if (list.items.size() == page.limit) {
      list.next = write_list_cursor(list.items.back()->id);
      break;
    }
    list.items.push_back(std::move(profile));
  }
  co_return list;
}

Async<ProfilePtr> Embedded::get_profile(TenantId tenant, std::string profile) {
  const ProfileSlotPtr slot = directory_.find_profile(tenant, profile);
  ProfilePtr current = slot ? slot->current() : nullptr;
  if (current == nullptr) co_return no_profile(profile);
  co_return current;
}

Async<ProfilePtr> Embedded::create_profile(TenantId tenant, Profile profile) {
  CO_DO(check_profile(profile));
  std::move_only_function<Result<Outcome<ProfilePtr>>(Session&)> work =
      [this, tenant, profile = std::move(profile)](Session& session) mutable -> Result<Outcome<ProfilePtr>> {
    Outcome<ProfilePtr> outcome{.effects = {.tenant = tenant}};
    TRY(const bool there, profile_exists(session, tenant, profile.id));
    if (there) {
      return fail(ErrorCode::already_exists, "there is a profile `" + profile.id + "` already", "profile");
    }
    TRY(outcome.value, write_profile_row(session, tenant, std::move(profile), outcome.effects));
    return outcome;
  };
  co_return co_await commit<ProfilePtr>(std::move(work));
}

Async<ProfilePtr> Embedded::put_profile(TenantId tenant, Profile profile) {
  CO_DO(check_profile(profile));
  std::move_only_function<Result<Outcome<ProfilePtr>>(Session&)> work =
      [this, tenant, profile = std::move(profile)](Session& session) mutable -> Result<Outcome<ProfilePtr>> {
    Outcome<ProfilePtr> outcome{.effects = {.tenant = tenant}};
    TRY(const bool there, profile_exists(session, tenant, profile.id));
    if (!there) return no_profile(profile.id);
    TRY(outcome.value, write_profile_row(session, tenant, std::move(profile), outcome.effects));
    return outcome;
  };
  co_return co_await commit<ProfilePtr>(std::move(work));
}

Async<void> Embedded::delete_profile(TenantId tenant, std::string profile) {
  std::move_only_function<Result<Outcome<Nothing>>(Session&)> work =
      [this, tenant, profile](Session& session) -> Result<Outcome<Nothing>> {
    Outcome<Nothing> outcome{.effects = {.tenant = tenant}};
    TRY(const auto gone, session.run("DELETE FROM profiles WHERE tenant = ? AND profile = ?", {tenant.value, profile}));
    if (gone == 0) return no_profile(profile);
    DO(session.run("UPDATE devices SET profile = NULL WHERE tenant = ? AND profile = ?", {tenant.value, profile}));
    TRY(const auto version, add_change(session, tenant, Change::Kind::profile_removed, profile, nullptr));
    static_cast<void>(version);
    outcome.effects.changes = true;
    outcome.effects.removed_profiles.push_back(profile);
    return outcome;
  };
  CO_TRY(const Nothing done, co_await commit<Nothing>(std::move(work)));
  static_cast<void>(done);
  co_return {};
}

// ---- dashboards: they live in the database alone ----

Async<Paged<Dashboard>> Embedded::list_dashboards(TenantId tenant, Page page) {
  CO_DO(check_page(page));
  CO_TRY(auto last, read_list_cursor(page));
  auto work = [tenant, last = std::move(last), limit = page.limit](Session& session) -> Result<Paged<Dashboard>> {
    Paged<Dashboard> list;
    DO(session.each(
        "SELECT id, title, version, updated_at FROM dashboards WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?",
        {tenant.value, last, limit + 1}, [&](const store::Row& row) -> Result<> {
          if (list.items.size() == limit) {
            list.next = write_list_cursor(list.items.back().id);
            return {};
          }
          list.items.push_back({.id = std::string(row.text(0)),
                                .title = std::string(row.text(1)),
                                .version = static_cast<std::uint64_t>(row.integer(2)),
                                .document = {},
                                .updated_at = row.time(3)});
          return {};
        }));
    return list;
  };
  co_return co_await database_.read_async<Paged<Dashboard>>(std::move(work));
}

Async<Dashboard> Embedded::get_dashboard(TenantId tenant, std::string id) {
  auto work = [tenant, id](Session& session) -> Result<Dashboard> {
    TRY(auto found,
        session.first("SELECT id, title, version, document, updated_at FROM dashboards WHERE tenant = ? AND id = ?",
                      {tenant.value, id}, [](const store::Row& row) {
                        return Dashboard{.id = std::string(row.text(0)),
                                         .title = std::string(row.text(1)),
                                         .version = static_cast<std::uint64_t>(row.integer(2)),
                                         .document = std::string(row.text(3)),
                                         .updated_at = row.time(4)};
                      }));
    if (!found) return no_dashboard(id);
    return *std::move(found);
  };
  co_return co_await database_.read_async<Dashboard>(std::move(work));
}

Async<Dashboard> Embedded::create_dashboard(TenantId tenant, std::string title, std::string document) {
  CO_DO(check_dashboard(title, document));
  Dashboard dashboard{.id = random_id(),
                      .title = std::move(title),
                      .version = 1,
                      .document = std::move(document),
                      .updated_at = wall_now()};
  auto work = [tenant, dashboard = std::move(dashboard)](Session& session) -> Result<Dashboard> {
    DO(session.run(
        "INSERT INTO dashboards (tenant, id, title, version, document, created_at, updated_at) "
        "VALUES (?, ?, ?, 1, ?, ?, ?)",
        {tenant.value, dashboard.id, dashboard.title, dashboard.document, dashboard.updated_at, dashboard.updated_at}));
    return dashboard;
  };
  co_return co_await database_.write_async<Dashboard>(std::move(work));
}

Async<Dashboard> Embedded::put_dashboard(TenantId tenant, std::string id, std::uint64_t expected_version,
                                         std::string title, std::string document) {
  CO_DO(check_dashboard(title, document));
  Dashboard dashboard{.id = std::move(id),
                      .title = std::move(title),
                      .version = expected_version + 1,
                      .document = std::move(document),
                      .updated_at = wall_now()};
  auto work = [tenant, expected_version, dashboard = std::move(dashboard)](Session& session) -> Result<Dashboard> {
    TRY(const auto changed,
        session.run(
            "UPDATE dashboards SET title = ?, version = version + 1, document = ?, updated_at = ? "
            "WHERE tenant = ? AND id = ? AND version = ?",
            {dashboard.title, dashboard.document, dashboard.updated_at, tenant.value, dashboard.id, expected_version}));
    if (changed == 1) return dashboard;
    TRY(const auto current,
        session.first("SELECT version FROM dashboards WHERE tenant = ? AND id = ?", {tenant.value, dashboard.id},
                      [](const store::Row& row) { return row.integer(0); }));
    if (!current) return no_dashboard(dashboard.id);
    return fail(ErrorCode::already_exists,
                "the dashboard was changed meanwhile: it is at version " + std::to_string(*current) + ", not " +
                    std::to_string(expected_version),
                "version");
  };
  co_return co_await database_.write_async<Dashboard>(std::move(work));
}

Async<void> Embedded::delete_dashboard(TenantId tenant, std::string id) {
  auto work = [tenant, id](Session& session) -> Result<> {
    TRY(const auto gone, session.run("DELETE FROM dashboards WHERE tenant = ? AND id = ?", {tenant.value, id}));
    if (gone == 0) return no_dashboard(id);
    return {};
  };
  co_return co_await database_.write_async<void>(std::move(work));
}

Async<std::string> Embedded::tenant_name(TenantId tenant) {
  auto work = [tenant](Session& session) -> Result<std::string> {
    TRY(auto found, session.first("SELECT name FROM tenants WHERE id = ?", {tenant.value},
                                  [](const store::Row& row) { return std::string(row.text(0)); }));
    if (!found) return fail(ErrorCode::not_found, "there is no tenant " + std::to_string(tenant.value));
    return *std::move(found);
  };
  co_return co_await database_.read_async<std::string>(std::move(work));
}

}  // namespace flux::registry
