#include <limits>

#include "query/influxql/parser.h"

namespace flux::query::influxql {

using Kind = Statement::Kind;

Result<std::vector<Statement>> Parser::statements() {
  std::vector<Statement> all;
  bool separated = true;
  for (;;) {
    const Lexeme& lexeme = next();
    if (lexeme.token == Token::eof) return all;
    if (lexeme.token == Token::semicolon) {
      separated = true;
      continue;
    }
    if (!separated) return found(lexeme, {";"});
    back();
    TRY(Statement one, statement());
    all.push_back(std::move(one));
    separated = false;
  }
}

Result<Statement> Parser::statement() {
  const Lexeme lexeme = next();
  Statement made;
  switch (lexeme.token) {
    case Token::select: {
      TRY(made.select, select(Target::allowed));
      return made;
    }
    case Token::delete_: return removal(Kind::delete_);
    case Token::show: return show();
    case Token::create: return create();
    case Token::drop: return drop();
    case Token::explain: {
      made.kind = Kind::explain;
      made.exact = accept(Token::analyze);
      DO(expect({Token::select}));
      TRY(made.select, select(Target::allowed));
      return made;
    }
    case Token::grant: return grant(true);
    case Token::revoke: return grant(false);
    case Token::alter: DO(expect({Token::retention, Token::policy})); return alter_policy();
    case Token::set: {
      DO(expect({Token::password, Token::for_}));
      made.kind = Kind::set_password;
      TRY(made.name, identifier());
      DO(expect({Token::eq}));
      DO(text());
      return made;
    }
    case Token::kill: {
      DO(expect({Token::query}));
      made.kind = Kind::kill_query;
      DO(whole(0, std::numeric_limits<std::int64_t>::max()));
      if (accept(Token::on)) DO(identifier());
      return made;
    }
    default:
      return found(
          lexeme, {"SELECT", "DELETE", "SHOW", "CREATE", "DROP", "EXPLAIN", "GRANT", "REVOKE", "ALTER", "SET", "KILL"});
  }
}

Result<Statement> Parser::show() {
  const Lexeme lexeme = next();
  Statement made;
  const auto plain = [&](Kind kind) -> Result<Statement> {
    made.kind = kind;
    return made;
  };
  switch (lexeme.token) {
    case Token::continuous: DO(expect({Token::queries})); return plain(Kind::show_continuous_queries);
    case Token::databases: return plain(Kind::show_databases);
    case Token::diagnostics: return module(Kind::show_diagnostics);
    case Token::field: {
      const Lexeme& what = next();
      if (what.token == Token::keys) return show_list(Kind::show_field_keys);
      if (what.token != Token::key) return found(what, {"KEY", "KEYS"});
      const bool exact = accept(Token::exact);
      if (const Lexeme& word = next(); word.token != Token::cardinality)
        return exact ? found(word, {"CARDINALITY"}) : found(word, {"EXACT", "CARDINALITY"});
      TRY(made, cardinality(Kind::show_field_key_cardinality));
      made.exact = exact;
      return made;
    }
    case Token::grants: {
      DO(expect({Token::for_}));
      made.kind = Kind::show_grants;
      TRY(made.name, identifier());
      return made;
    }
    case Token::measurement: {
      const Lexeme& what = next();
      if (what.token == Token::cardinality) return cardinality(Kind::show_measurement_cardinality);
      if (what.token != Token::exact) return found(what, {"EXACT", "CARDINALITY"});
      DO(expect({Token::cardinality}));
      TRY(made, cardinality(Kind::show_measurement_cardinality));
      made.exact = true;
      return made;
    }
    case Token::measurements: return measurements();
    case Token::queries: return plain(Kind::show_queries);
    case Token::retention: {
      DO(expect({Token::policies}));
      made.kind = Kind::show_retention_policies;
      DO(on(made));
      return made;
    }
    case Token::series: {
      const bool exact = accept(Token::exact);
      if (!accept(Token::cardinality)) return show_list(Kind::show_series);
      TRY(made, cardinality(Kind::show_series_cardinality));
      made.exact = exact;
      return made;
    }
    case Token::shard: DO(expect({Token::groups})); return plain(Kind::show_shard_groups);
    case Token::shards: return plain(Kind::show_shards);
    case Token::stats: return module(Kind::show_stats);
    case Token::subscriptions: return plain(Kind::show_subscriptions);
    case Token::tag: {
      const Lexeme& what = next();
      if (what.token == Token::keys) return show_list(Kind::show_tag_keys);
      if (what.token == Token::values) return tag_values();
      if (what.token != Token::key) return found(what, {"KEY", "KEYS", "VALUES"});
      const bool exact = accept(Token::exact);
      if (const Lexeme& word = next(); word.token != Token::cardinality)
        return exact ? found(word, {"CARDINALITY"}) : found(word, {"EXACT", "CARDINALITY"});
      TRY(made, cardinality(Kind::show_tag_key_cardinality));
      made.exact = exact;
      return made;
    }
    case Token::users: return plain(Kind::show_users);
    default:
      return found(lexeme,
                   {"CONTINUOUS", "DATABASES", "DIAGNOSTICS", "FIELD", "GRANTS", "MEASUREMENT", "MEASUREMENTS",
                    "QUERIES", "RETENTION", "SERIES", "SHARD", "SHARDS", "STATS", "SUBSCRIPTIONS", "TAG", "USERS"});
  }
}

Result<Statement> Parser::module(Kind kind) {
  Statement made;
  made.kind = kind;
  if (accept(Token::for_)) {
    TRY(made.name, text());
  }
  return made;
}

Result<Statement> Parser::show_list(Kind kind) {
  Statement made;
  made.kind = kind;
  DO(on(made));
  DO(from(made));
  if (kind != Kind::show_field_keys) {
    TRY(made.condition, condition());
  }
  bool ascending = true;
  bool ordered = false;
  DO(order(ascending, ordered));
  DO(limits(made));
  if (kind == Kind::show_tag_keys) {
    TRY(made.series_limit, optional_number(Token::slimit));
    TRY(made.series_offset, optional_number(Token::soffset));
  }
  return made;
}

Result<Statement> Parser::cardinality(Kind kind) {
  Statement made;
  made.kind = kind;
  DO(on(made));
  DO(from(made));
  if (kind == Kind::show_tag_values_cardinality) DO(tag_key(made));
  TRY(made.condition, condition());
  TRY(made.dimensions, dimensions());
  DO(limits(made));
  return made;
}

Result<Statement> Parser::measurements() {
  Statement made;
  made.kind = Kind::show_measurements;
  DO(on(made));
  if (accept(Token::with)) {
    DO(expect({Token::measurement}));
    const Lexeme& op = next();
    if (op.token != Token::eq && op.token != Token::eq_regex) return found(op, {"=", "=~"});
    TRY(Source one, source(false));
    made.sources.push_back(std::move(one));
  }
  TRY(made.condition, condition());
  bool ascending = true;
  bool ordered = false;
  DO(order(ascending, ordered));
  DO(limits(made));
  return made;
}

Result<Statement> Parser::tag_values() {
  const Lexeme& word = next();
  if (word.token == Token::exact) {
    DO(expect({Token::cardinality}));
    TRY(Statement made, cardinality(Kind::show_tag_values_cardinality));
    made.exact = true;
    return made;
  }
  if (word.token == Token::cardinality) return cardinality(Kind::show_tag_values_cardinality);
  back();
  Statement made;
  made.kind = Kind::show_tag_values;
  DO(on(made));
  DO(from(made));
  DO(tag_key(made));
  TRY(made.condition, condition());
  bool ascending = true;
  bool ordered = false;
  DO(order(ascending, ordered));
  DO(limits(made));
  return made;
}

Result<> Parser::tag_key(Statement& statement) {
  DO(expect({Token::with, Token::key}));
  const Lexeme op = next();
  statement.key_op = op.token;
  switch (op.token) {
    case Token::in:
      if (const Lexeme& open = next(); open.token != Token::left_paren) return found(open, {"("});
      do {
        TRY(std::string name, identifier());
        statement.key_names.push_back(std::move(name));
      } while (accept(Token::comma));
      if (const Lexeme& close = next(); close.token != Token::right_paren) return found(close, {")"});
      return {};
    case Token::eq:
    case Token::neq: {
      TRY(std::string name, identifier());
      statement.key_names.push_back(std::move(name));
      return {};
    }
    case Token::eq_regex:
    case Token::neq_regex: {
      TRY(statement.key_pattern, regex());
      if (!statement.key_pattern) return found(next(), {"regex"});
      return {};
    }
    default: return found(op, {"IN", "=", "=~"});
  }
}

Result<Statement> Parser::removal(Kind kind) {
  Statement made;
  made.kind = kind;
  const Lexeme first = next();
  const bool has_source = first.token == Token::from;
  if (has_source) {
    TRY(made.sources, sources(false));
    for (const Source& source : made.sources) {
      if (!source.policy.empty()) return trouble_at("retention policy not supported", {});
      if (!source.database.empty()) return trouble_at("database not supported", {});
    }
  } else {
    back();
  }
  TRY(made.condition, condition());
  if (!made.condition && !has_source) return found(first, {"FROM", "WHERE"});
  return made;
}

Result<Statement> Parser::create() {
  const Lexeme lexeme = next();
  switch (lexeme.token) {
    case Token::continuous: DO(expect({Token::query})); return create_continuous_query();
    case Token::database: return create_database();
    case Token::user: return create_user();
    case Token::retention: DO(expect({Token::policy})); return create_policy();
    case Token::subscription: return subscription(Kind::create_subscription);
    default: return found(lexeme, {"CONTINUOUS", "DATABASE", "USER", "RETENTION", "SUBSCRIPTION"});
  }
}

Result<Statement> Parser::create_database() {
  Statement made;
  made.kind = Kind::create_database;
  TRY(made.name, identifier());
  if (!accept(Token::with)) return made;
  const Lexeme& first = next();
  switch (first.token) {
    case Token::duration:
    case Token::replication:
    case Token::shard:
    case Token::name: back(); break;
    default: return found(first, {"DURATION", "NAME", "REPLICATION", "SHARD"});
  }
  made.with_policy = true;
  if (accept(Token::duration)) {
    TRY(made.duration, duration());
  }
  if (accept(Token::replication)) {
    TRY(made.replication, whole(1, std::numeric_limits<std::int32_t>::max()));
  }
  if (accept(Token::shard)) {
    DO(expect({Token::duration}));
    TRY(made.shard_duration, duration());
  }
  if (accept(Token::name)) {
    TRY(made.policy, identifier());
  }
  return made;
}

Result<Statement> Parser::create_policy() {
  Statement made;
  made.kind = Kind::create_retention_policy;
  TRY(made.policy, identifier());
  DO(expect({Token::on}));
  TRY(made.database, identifier());
  DO(expect({Token::duration}));
  TRY(made.duration, duration());
  DO(expect({Token::replication}));
  TRY(made.replication, whole(1, std::numeric_limits<std::int32_t>::max()));
  if (accept(Token::shard)) {
    DO(expect({Token::duration}));
    if (const Lexeme& inf = next(); inf.token == Token::inf)
      return trouble_at("invalid duration INF for shard duration", inf.place);
    back();
    TRY(made.shard_duration, duration());
  }
  made.make_default = accept(Token::default_);
  return made;
}

Result<Statement> Parser::alter_policy() {
  Statement made;
  made.kind = Kind::alter_retention_policy;
  const Lexeme name = next();
  if (name.token != Token::default_ && name.token != Token::identifier) return found(name, {"identifier"});
  made.policy = name.token == Token::default_ ? "default" : name.text;
  DO(expect({Token::on}));
  TRY(made.database, identifier());
  bool any = false;
  for (;; any = true) {
    const Lexeme option = next();
    const bool twice = (option.token == Token::duration && made.duration) ||
                       (option.token == Token::replication && made.replication) ||
                       (option.token == Token::shard && made.shard_duration) ||
                       (option.token == Token::default_ && made.make_default);
    if (twice) return trouble_at("found duplicate " + std::string(spelling(option.token)) + " option", option.place);
    if (option.token == Token::duration) {
      TRY(made.duration, duration());
    } else if (option.token == Token::replication) {
      TRY(made.replication, whole(1, std::numeric_limits<std::int32_t>::max()));
    } else if (option.token == Token::shard) {
      DO(expect({Token::duration}));
      if (const Lexeme& inf = next(); inf.token == Token::inf)
        return trouble_at("invalid duration INF for shard duration", inf.place);
      back();
      TRY(made.shard_duration, duration());
    } else if (option.token == Token::default_) {
      made.make_default = true;
    } else if (!any) {
      return found(option, {"DURATION", "REPLICATION", "SHARD", "DEFAULT"});
    } else {
      back();
      return made;
    }
  }
}

Result<Statement> Parser::create_user() {
  Statement made;
  made.kind = Kind::create_user;
  TRY(made.name, identifier());
  DO(expect({Token::with, Token::password}));
  DO(text());
  if (accept(Token::with)) DO(expect({Token::all, Token::privileges}));
  return made;
}

Result<Statement> Parser::create_continuous_query() {
  Statement made;
  made.kind = Kind::create_continuous_query;
  TRY(made.name, identifier());
  DO(expect({Token::on}));
  TRY(made.database, identifier());
  if (accept(Token::resample)) {
    bool any = false;
    for (const Token option : {Token::every, Token::for_}) {
      if (!accept(option)) continue;
      any = true;
      const Lexeme value = next();
      if (value.token != Token::duration_value) return found(value, {"duration"});
      if (auto parsed = parse_duration_literal(value.text); !parsed)
        return trouble_at(parsed.error().message, value.place);
    }
    if (!any) return found(next(), {"EVERY", "FOR"});
  }
  DO(expect({Token::begin, Token::select}));
  TRY(made.select, select(Target::required));
  DO(expect({Token::end}));
  return made;
}

Result<Statement> Parser::subscription(Kind kind) {
  Statement made;
  made.kind = kind;
  TRY(made.name, identifier());
  DO(expect({Token::on}));
  TRY(made.database, identifier());
  if (const Lexeme& dot = scan(); dot.token != Token::dot) return found(dot, {"."});
  TRY(made.policy, identifier());
  if (kind == Kind::drop_subscription) return made;
  DO(expect({Token::destinations}));
  if (const Lexeme& mode = next(); mode.token != Token::all && mode.token != Token::any)
    return found(mode, {"ALL", "ANY"});
  do {
    DO(text());
  } while (accept(Token::comma));
  return made;
}

Result<Statement> Parser::grant(bool give) {
  Statement made;
  made.kind = give ? Kind::grant : Kind::revoke;
  const Lexeme privilege = next();
  if (privilege.token != Token::read && privilege.token != Token::write && privilege.token != Token::all)
    return found(privilege, {"READ", "WRITE", "ALL [PRIVILEGES]"});
  const bool all = privilege.token == Token::all;
  if (all) accept(Token::privileges);
  const Token towards = give ? Token::to : Token::from;
  const Lexeme word = next();
  if (word.token == Token::on) {
    TRY(made.database, identifier());
    DO(expect({towards}));
  } else if (word.token != towards || !all) {
    return all ? found(word, {"ON", spelling(towards)}) : found(word, {"ON"});
  }
  TRY(made.name, identifier());
  return made;
}

Result<Statement> Parser::drop() {
  const Lexeme lexeme = next();
  Statement made;
  const auto named = [&](Kind kind) -> Result<Statement> {
    made.kind = kind;
    TRY(made.name, identifier());
    return made;
  };
  switch (lexeme.token) {
    case Token::continuous: {
      DO(expect({Token::query}));
      TRY(made, named(Kind::drop_continuous_query));
      DO(expect({Token::on}));
      TRY(made.database, identifier());
      return made;
    }
    case Token::database: return named(Kind::drop_database);
    case Token::measurement: return named(Kind::drop_measurement);
    case Token::retention: {
      DO(expect({Token::policy}));
      made.kind = Kind::drop_retention_policy;
      TRY(made.policy, identifier());
      DO(expect({Token::on}));
      TRY(made.database, identifier());
      return made;
    }
    case Token::series: return removal(Kind::drop_series);
    case Token::shard:
      made.kind = Kind::drop_shard;
      DO(whole(0, std::numeric_limits<std::int64_t>::max()));
      return made;
    case Token::subscription: return subscription(Kind::drop_subscription);
    case Token::user: return named(Kind::drop_user);
    default:
      return found(lexeme,
                   {"CONTINUOUS", "DATABASE", "MEASUREMENT", "RETENTION", "SERIES", "SHARD", "SUBSCRIPTION", "USER"});
  }
}

}  // namespace flux::query::influxql
