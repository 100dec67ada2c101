#include <algorithm>

#include "query/influxql/execution.h"

namespace flux::query::influxql {
namespace {

using Kind = Statement::Kind;
using Rows = std::vector<std::vector<std::string>>;

std::unexpected<Error> trouble(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

template <class T>
void cut(std::vector<T>& rows, const Statement& statement) {
  const auto size = static_cast<std::int64_t>(rows.size());
  const std::int64_t from = std::min(statement.offset, size);
  const std::int64_t to = statement.limit > 0 ? std::min(size, from + std::min(statement.limit, size)) : size;
  rows = {std::make_move_iterator(rows.begin() + from), std::make_move_iterator(rows.begin() + to)};
}

void escape_into(std::string& out, std::string_view text, std::string_view special) {
  for (const char c : text) {
    if (special.contains(c)) out += '\\';
    out += c;
  }
}

/// As line protocol spells it.
std::string series_key(const Series& series) {
  std::string key;
  escape_into(key, series.measurement, ", ");
  for (const Tag& tag : series.tags) {
    key += ',';
    escape_into(key, tag.key, ", =");
    key += '=';
    escape_into(key, tag.value, ", =");
  }
  return key;
}

/// A database's bare number that SHOW … CARDINALITY gives.
AnswerSeries number_table(std::string name, std::string column, std::size_t value) {
  AnswerSeries series{std::move(name), {}, {std::move(column)}, false, nullptr, {}};
  series.table.times.push_back(0);
  series.table.columns.resize(1);
  series.table.columns[0].type = DataType::int64;
  series.table.columns[0].add(to_cell(static_cast<std::int64_t>(value)));
  return series;
}

}  // namespace

Result<> Execution::show(const Statement& statement) {
  switch (statement.kind) {
    case Kind::show_databases: return show_databases();
    case Kind::show_retention_policies: return show_retention_policies(statement);
    case Kind::show_measurements: return show_measurements(statement);
    case Kind::show_field_keys: return show_field_keys(statement);
    case Kind::show_tag_keys: return show_tag_keys(statement);
    case Kind::show_tag_values: return show_tag_values(statement);
    case Kind::show_series: return show_series(statement);
    case Kind::show_field_key_cardinality:
    case Kind::show_measurement_cardinality:
    case Kind::show_series_cardinality:
    case Kind::show_tag_key_cardinality:
    case Kind::show_tag_values_cardinality: return show_cardinality(statement);
    case Kind::show_continuous_queries:
      // There are none in any database.
      for (const auto& database : needs_.databases.list(needs_.request.tenant))
        if (!give(texts(database->settings().name, {"name", "query"}, {}))) break;
      return {};
    default: return trouble(std::string(words(statement.kind)) + " is not supported");
  }
}

Result<std::string> Execution::needed_database(const Statement& statement) const {
  std::string name = database_of(statement);
  if (name.empty()) return trouble("database name required");
  if (!needs_.databases.find(needs_.request.tenant, name))
    return fail(ErrorCode::not_found, "database not found: " + name);
  return name;
}

Result<> Execution::show_databases() {
  Rows rows;
  for (const auto& database : needs_.databases.list(needs_.request.tenant)) rows.push_back({database->settings().name});
  give(texts("databases", {"name"}, rows));
  return {};
}

Result<> Execution::show_retention_policies(const Statement& statement) {
  TRY(const std::string name, needed_database(statement));
  const auto database = needs_.databases.find(needs_.request.tenant, name);
  AnswerSeries series{{}, {}, {"name", "duration", "shardGroupDuration", "replicaN", "default"}, false, nullptr, {}};
  auto& columns = series.table.columns;
  columns.resize(5);
  for (const std::size_t text : {0U, 1U, 2U}) columns[text].type = DataType::string;
  columns[3].type = DataType::int64;
  columns[4].type = DataType::boolean;
  const auto& policies = database->settings().retention_policies;
  for (std::size_t i = 0; i < policies.size(); ++i) {
    const std::int64_t hours = policies[i].duration.ns / 3'600'000'000'000;
    series.table.times.push_back(0);
    columns[0].add(strings_.add(policies[i].name));
    columns[1].add(strings_.add(hours == 0 ? "0s" : std::to_string(hours) + "h0m0s"));
    columns[2].add(strings_.add("168h0m0s"));
    columns[3].add(to_cell(std::int64_t{1}));
    columns[4].add(to_cell(i == 0));
  }
  give(std::move(series));
  return {};
}

Result<std::map<std::string, std::vector<const Series*>>> Execution::meant(const Statement& statement,
                                                                           const std::string& database) {
  std::map<std::string, std::vector<const Series*>> found;
  TRY(const Condition condition, split_condition(statement.condition, {.now = needs_.now, .zone = nullptr}));
  std::vector<Source> sources = statement.sources;
  if (sources.empty()) {
    Source every;
    TRY(every.pattern, Pattern::compile(""));
    sources.push_back(std::move(every));
  }
  std::set<std::string> names;
  for (Source& source : sources) {
    // These look at all of a database, whatever policy was named.
    if (source.database.empty()) source.database = database;
    for (std::string& name : measurements(source)) names.insert(std::move(name));
  }
  const bool bounded = condition.time.min || condition.time.max;
  for (const std::string& name : names) {
    const Source source{.database = database, .policy = {}, .name = name, .pattern = nullptr, .subquery = nullptr};
    TRY(const StoredSource* stored, stored_.source(source, {name}, std::nullopt));
    std::vector<const Series*> kept;
    for (const Series& series : stored->series)
      if (const Filter filter = filter_for(condition.expr, series, stored->schema); !filter.never && !filter.expr)
        kept.push_back(&series);
    if (bounded && !kept.empty()) {
      // Only those with a reading in that time.
      Stored::Wanted wanted{.source = source, .series = kept};
      for (const auto& [field, type] : stored->schema.fields) wanted.fields.insert(field);
      wanted.from = condition.time.min.value_or(kMinTime);
      wanted.to = condition.time.max.value_or(kMaxTime);
      wanted.limit = 1;
      TRY(const auto loaded, stored_.load(wanted, strings_));
      std::vector<const Series*> live;
      for (std::size_t i = 0; i < kept.size(); ++i)
        if (std::ranges::any_of(loaded[i], [](const auto& field) { return !field.second.times.empty(); }))
          live.push_back(kept[i]);
      kept = std::move(live);
    }
    if (!kept.empty()) found.emplace(name, std::move(kept));
  }
  return found;
}

namespace {

/// A condition on tags, asked of a measurement as a whole: `=` where some series has the value, `!=` where the tag is
/// there and none has it.
Result<bool> measurement_holds(const ExprPtr& condition, const std::vector<const Series*>& all) {
  if (!condition) return true;
  if (condition->is(Expr::Kind::paren)) return measurement_holds(condition->args[0], all);
  if (!condition->is(Expr::Kind::binary)) return trouble("invalid condition expression: " + to_string(*condition));
  const ExprPtr& a = condition->args[0];
  const ExprPtr& b = condition->args[1];
  if (condition->op == Token::and_ || condition->op == Token::or_) {
    TRY(const bool left, measurement_holds(a, all));
    TRY(const bool right, measurement_holds(b, all));
    return condition->op == Token::and_ ? left && right : left || right;
  }
  const bool regex = is_regex_operator(condition->op);
  if (!regex && condition->op != Token::eq && condition->op != Token::neq)
    return trouble("invalid tag comparison operator");
  const std::string op(spelling(condition->op));
  if (!a->is(Expr::Kind::variable)) return trouble("left side of '" + op + "' must be a tag key");
  if (!regex && !b->is(Expr::Kind::string)) return trouble("right side of '" + op + "' must be a tag value string");
  bool there = false;
  bool match = false;
  for (const Series* series : all) {
    const std::string_view value = series->tag(a->text);
    there = there || !value.empty();
    match = match || (!value.empty() && (regex ? b->pattern->matches(value) : value == b->text));
  }
  const bool equal = condition->op == Token::eq || condition->op == Token::eq_regex;
  return there && match == equal;
}

}  // namespace

Result<> Execution::show_measurements(const Statement& statement) {
  const std::string database = database_of(statement);
  if (database.empty()) return trouble("database name required");
  if (mentions_time(statement.condition)) return trouble("SHOW MEASUREMENTS doesn't support time in WHERE clause");
  if (!needs_.databases.find(needs_.request.tenant, database)) return {};
  Statement all = statement;
  all.condition = nullptr;
  TRY(const auto found, meant(all, database));
  Rows rows;
  for (const auto& [name, series] : found) {
    TRY(const bool holds, measurement_holds(statement.condition, series));
    if (holds) rows.push_back({name});
  }
  cut(rows, statement);
  if (!rows.empty()) give(texts("measurements", {"name"}, rows));
  return {};
}

Result<> Execution::show_field_keys(const Statement& statement) {
  TRY(const std::string database, needed_database(statement));
  TRY(const auto found, meant(statement, database));
  for (const auto& [name, all] : found) {
    std::map<std::string, DataType> fields;
    for (const Series* series : all)
      for (const auto& [field, info] : series->fields) {
        DataType& type = fields.try_emplace(field, DataType::unknown).first->second;
        if (less(type, data_type(info->type))) type = data_type(info->type);
      }
    Rows rows;
    for (const auto& [field, type] : fields) rows.push_back({field, std::string(to_string(type))});
    cut(rows, statement);
    AnswerSeries table = texts(name, {"fieldKey", "fieldType"}, rows);
    table.streamed = true;
    if (!rows.empty() && !give(std::move(table))) break;
  }
  return {};
}

Result<> Execution::show_tag_keys(const Statement& statement) {
  TRY(const std::string database, needed_database(statement));
  TRY(const auto found, meant(statement, database));
  for (const auto& [name, all] : found) {
    std::set<std::string> keys;
    for (const Series* series : all)
      for (const Tag& tag : series->tags) keys.insert(tag.key);
    Rows rows;
    for (const std::string& key : keys) rows.push_back({key});
    cut(rows, statement);
    if (!rows.empty() && !give(texts(name, {"tagKey"}, rows))) break;
  }
  return {};
}

namespace {

bool key_wanted(const Statement& statement, const std::string& key) {
  const bool named = std::ranges::find(statement.key_names, key) != statement.key_names.end();
  switch (statement.key_op) {
    case Token::in:
    case Token::eq: return named;
    case Token::neq: return !named;
    case Token::eq_regex: return statement.key_pattern->matches(key);
    default: return !statement.key_pattern->matches(key);
  }
}

}  // namespace

Result<> Execution::show_tag_values(const Statement& statement) {
  TRY(const std::string database, needed_database(statement));
  TRY(const auto found, meant(statement, database));
  for (const auto& [name, all] : found) {
    std::set<std::pair<std::string, std::string>> values;
    for (const Series* series : all)
      for (const Tag& tag : series->tags)
        if (key_wanted(statement, tag.key)) values.emplace(tag.key, tag.value);
    Rows rows;
    for (const auto& [key, value] : values) rows.push_back({key, value});
    cut(rows, statement);
    if (!rows.empty() && !give(texts(name, {"key", "value"}, rows))) break;
  }
  return {};
}

Result<> Execution::show_series(const Statement& statement) {
  TRY(const std::string database, needed_database(statement));
  TRY(const auto found, meant(statement, database));
  std::set<std::string> keys;
  for (const auto& [name, all] : found)
    for (const Series* series : all) keys.insert(series_key(*series));
  Rows rows;
  for (const std::string& key : keys) rows.push_back({key});
  cut(rows, statement);
  if (!rows.empty()) give(texts({}, {"key"}, rows));
  return {};
}

Result<> Execution::show_cardinality(const Statement& statement) {
  TRY(const std::string database, needed_database(statement));
  if (mentions_time(statement.condition))
    return trouble(std::string(words(statement.kind)) + " doesn't support time in WHERE clause");
  if (!statement.dimensions.empty()) return trouble(std::string(words(statement.kind)) + " does not support GROUP BY");
  TRY(const auto found, meant(statement, database));
  const bool narrowed = statement.exact || !statement.sources.empty() || statement.condition || statement.limit != 0 ||
                        statement.offset != 0;
  if (statement.kind == Kind::show_measurement_cardinality) {
    give(number_table({}, narrowed ? "count" : "cardinality estimation", found.size()));
    return {};
  }
  if (statement.kind == Kind::show_series_cardinality && !narrowed) {
    std::size_t all = 0;
    for (const auto& [name, series] : found) all += series.size();
    give(number_table({}, "cardinality estimation", all));
    return {};
  }
  for (const auto& [name, all] : found) {
    std::set<std::string> seen;
    for (const Series* series : all) {
      if (statement.kind == Kind::show_series_cardinality) seen.insert(series_key(*series));
      if (statement.kind == Kind::show_field_key_cardinality)
        for (const auto& [field, info] : series->fields) seen.insert(field);
      for (const Tag& tag : series->tags) {
        if (statement.kind == Kind::show_tag_key_cardinality) seen.insert(tag.key);
        if (statement.kind == Kind::show_tag_values_cardinality && key_wanted(statement, tag.key))
          seen.insert(tag.value);
      }
    }
    if (!seen.empty() && !give(number_table(name, "count", seen.size()))) break;
  }
  return {};
}

}  // namespace flux::query::influxql
