#include "query/influxql/service.h"

#include <algorithm>

#include "query/influxql/execution.h"

namespace flux::query::influxql {
namespace {

using Kind = Statement::Kind;

std::unexpected<Error> trouble(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

bool changes(Kind kind) {
  return kind == Kind::delete_ || (kind >= Kind::create_continuous_query && kind <= Kind::kill_query);
}

}  // namespace

Result<> Service::run(const Request& request, Administration& administration, std::int64_t now, std::stop_token stop,
                      Answer& answer) const {
  bool failed = false;
  for (std::size_t i = 0; i < request.statements.size(); ++i) {
    answer.begin(i);
    if (failed) {
      answer.error("not executed");
      answer.end();
      continue;
    }
    Execution execution({store_, databases_, limits_, request, administration, now, stop, answer});
    if (auto done = execution.run(request.statements[i]); !done) {
      if (done.error().code == ErrorCode::cancelled) return done;
      answer.error(done.error().message);
      failed = true;
    }
    answer.end();
  }
  return {};
}

Result<> Execution::run(const Statement& statement) {
  if (statement.kind == Kind::select) {
    if (!needs_.request.may_read)
      return fail(ErrorCode::permission_denied, "error authorizing query: this credential may not read");
    return select(*statement.select);
  }
  if (changes(statement.kind)) return change(statement);
  if (!needs_.request.may_read && statement.kind != Kind::show_databases)
    return fail(ErrorCode::permission_denied, "error authorizing query: this credential may not read");
  return show(statement);
}

Result<> Execution::place(Source& source) const {
  if (source.name.empty() && !source.pattern) return trouble("invalid measurement");
  if (source.database.empty()) source.database = needs_.request.database;
  if (source.database.empty()) return trouble("database name required");
  const auto database = needs_.databases.find(needs_.request.tenant, source.database);
  if (!database) return fail(ErrorCode::not_found, "database not found: " + source.database);
  if (source.policy.empty())
    source.policy =
        needs_.request.policy.empty() ? database->settings().retention_policies.front().name : needs_.request.policy;
  if (!database->has_policy(source.policy))
    return fail(ErrorCode::not_found, "retention policy not found: " + source.policy);
  return {};
}

Result<SelectStatement> Execution::placed(const SelectStatement& select) const {
  SelectStatement copy = select;
  for (Source& source : copy.sources) {
    if (source.subquery) {
      TRY(auto inner, placed(*source.subquery));
      source.subquery = std::make_shared<const SelectStatement>(std::move(inner));
    } else {
      if (source.name.starts_with('_')) {
        constexpr std::pair<std::string_view, std::string_view> kSystem[] = {{"_fieldKeys", "SHOW FIELD KEYS"},
                                                                             {"_measurements", "SHOW MEASUREMENTS"},
                                                                             {"_series", "SHOW SERIES"},
                                                                             {"_tagKeys", "SHOW TAG KEYS"},
                                                                             {"_tags", "SHOW TAG VALUES"}};
        for (const auto& [name, instead] : kSystem)
          if (source.name == name)
            return trouble("unable to use system source '" + source.name + "': use " + std::string(instead) +
                           " instead");
      }
      DO(place(source));
    }
  }
  return copy;
}

std::vector<std::string> Execution::measurements(const Source& source) const {
  if (!source.pattern) return {source.name};
  std::set<std::string> names;
  if (const auto database = needs_.databases.find(needs_.request.tenant, source.database))
    for (const registry::DatabaseField& field : database->fields()) names.insert(field.measurement);
  // What comes as JSON has its types from the registry of devices.
  if (source.database == "default") names.insert("telemetry");
  std::erase_if(names, [&](const std::string& name) { return !source.pattern->matches(name); });
  return {names.begin(), names.end()};
}

Result<> Execution::select(const SelectStatement& statement) {
  if (statement.target) return trouble("SELECT ... INTO is not supported: write the points with /write");
  TRY(const SelectStatement ready, placed(statement));
  TRY(const PlanPtr plan, compile(ready, needs_.now));
  const auto names = names_read(*plan);
  // Wildcards and limits of series are about all series of a measurement.
  if (names)
    note_tags(*plan, [this](const Source& source, const std::string& name) {
      const auto database = needs_.databases.find(needs_.request.tenant, source.database);
      // What comes as JSON is typed by the registry of devices, not by the database.
      return !database || source.database == "default" || database->has_field(name);
    });
  Run run{stored_, strings_, needs_.now, names, [this](const Source& source) { return measurements(source); }};
  const SchemaOf schema_of = [&](const Source& source) -> Result<const Schema*> {
    TRY(const StoredSource* found, stored_.source(source, measurements(source), run.names));
    return &found->schema;
  };
  DO(resolve(*plan, schema_of));
  const std::vector<std::string> columns = plan->columns();
  bool more = true;
  DO(run_select(run, *plan, [&](Table&& table) {
    AnswerSeries series{table.name, std::move(table.tags), columns, true, plan->zone, {}};
    table.tags.clear();
    series.table = std::move(table);
    more = give(std::move(series));
    return more;
  }));
  if (!more) return fail(ErrorCode::cancelled, "the query was cancelled");
  return {};
}

Result<> Execution::change(const Statement& statement) {
  const Request& request = needs_.request;
  const auto denied = [&]() -> Result<> {
    return fail(ErrorCode::permission_denied, "error authorizing query: this credential may not execute '" +
                                                  std::string(words(statement.kind)) + "'");
  };
  const bool warns = request.read_only && statement.kind != Kind::delete_ && statement.kind != Kind::kill_query;
  const auto warn = [&] {
    if (warns)
      needs_.answer.message("deprecated use of '" + std::string(words(statement.kind)) +
                            "' in a read only context, please use a POST request instead");
  };
  switch (statement.kind) {
    case Kind::create_database:
      if (!request.may_create) return denied();
      if (statement.duration.value_or(0) != 0)
        return trouble("CREATE DATABASE with a duration is not supported: readings are kept for ever");
      if (!statement.policy.empty() && statement.policy != "autogen")
        return trouble("CREATE DATABASE with a retention policy of its own is not supported: there is autogen");
      if (!needs_.databases.find(request.tenant, statement.name))
        DO(needs_.administration.create_database(request.tenant, statement.name));
      warn();
      return {};
    case Kind::drop_database:
      if (!request.may_manage) return denied();
      if (needs_.databases.find(request.tenant, statement.name))
        DO(needs_.administration.drop_database(request.tenant, statement.name));
      warn();
      return {};
    case Kind::delete_:
    case Kind::drop_series:
    case Kind::drop_measurement:
      if (!request.may_manage) return denied();
      DO(erase(statement));
      warn();
      return {};
    default:
      if (!request.may_manage) return denied();
      return trouble(std::string(words(statement.kind)) + " is not supported");
  }
}

Result<> Execution::erase(const Statement& statement) {
  const std::string& database = needs_.request.database;
  if (!needs_.databases.find(needs_.request.tenant, database))
    return fail(ErrorCode::not_found, "database not found: " + database);
  if (statement.kind == Kind::drop_measurement) {
    Source source;
    source.name = statement.name;
    return erase_where(statement, {source});
  }
  if (statement.kind == Kind::drop_series && mentions_time(statement.condition))
    return trouble("DROP SERIES doesn't support time in WHERE clause");
  std::vector<Source> sources = statement.sources;
  if (sources.empty()) {
    TRY(auto all, Pattern::compile(""));
    Source every;
    every.pattern = std::move(all);
    sources.push_back(std::move(every));
  }
  return erase_where(statement, sources);
}

Result<> Execution::erase_where(const Statement& statement, const std::vector<Source>& sources) {
  TRY(const Condition condition, split_condition(statement.condition, {.now = needs_.now, .zone = nullptr}));
  // What the store erases by: tags that have a value, all of them.
  store::SeriesSelector selector{.tenant = needs_.request.tenant, .database = needs_.request.database};
  std::function<bool(const ExprPtr&)> take = [&](const ExprPtr& expr) -> bool {
    if (!expr) return true;
    if (expr->is(Expr::Kind::paren)) return take(expr->args[0]);
    if (!expr->is(Expr::Kind::binary)) return false;
    const ExprPtr& a = expr->args[0];
    const ExprPtr& b = expr->args[1];
    if (expr->op == Token::and_) return take(a) && take(b);
    if (expr->op != Token::eq || !a->is(Expr::Kind::variable) || !b->is(Expr::Kind::string) || b->text.empty())
      return false;
    selector.tags.push_back({a->text, b->text});
    return true;
  };
  if (!take(condition.expr))
    return trouble(std::string(words(statement.kind)) +
                   " is not supported with this condition: only tag = 'value' and times, joined by AND, are");
  for (Source source : sources) {
    source.database = needs_.request.database;
    const auto names = measurements(source);
    selector.measurements.insert(selector.measurements.end(), names.begin(), names.end());
  }
  if (selector.measurements.empty()) return {};
  for (const std::string& name : selector.measurements) {
    // A condition on what is a field there is no condition on series.
    const Source source{
        .database = needs_.request.database, .policy = {}, .name = name, .pattern = nullptr, .subquery = nullptr};
    TRY(const StoredSource* found, stored_.source(source, {name}, std::nullopt));
    for (const Tag& tag : selector.tags)
      if (found->schema.fields.contains(tag.key))
        return trouble("fields not supported in WHERE clause during deletion");
  }
  store::TimeRange range;
  if (condition.time.min) range.from = Time{*condition.time.min};
  if (condition.time.max) range.to = Time{*condition.time.max == INT64_MAX ? INT64_MAX : *condition.time.max + 1};
  return needs_.administration.erase(std::move(selector), range);
}

AnswerSeries Execution::texts(std::string name, std::vector<std::string> columns,
                              const std::vector<std::vector<std::string>>& rows) {
  AnswerSeries series{std::move(name), {}, std::move(columns), false, nullptr, {}, false};
  series.table.columns.resize(series.columns.size());
  for (Column& column : series.table.columns) column.type = DataType::string;
  for (const auto& row : rows) {
    series.table.times.push_back(0);
    for (std::size_t i = 0; i < row.size(); ++i) series.table.columns[i].add(strings_.add(row[i]));
  }
  return series;
}

}  // namespace flux::query::influxql
