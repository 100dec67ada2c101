#include "gateway/rest/query_codec.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "gateway/parse_json.h"
#include "gateway/unknown_name.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using nlohmann::json;
using query::Fill;
using query::Query;
using store::Aggregate;

std::unexpected<Error> bad(std::string_view field, std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message), std::string(field));
}

Result<Aggregate> parse_aggregate(std::string_view text) {
  using enum Aggregate;
  for (const Aggregate aggregate : {count, sum, min, max, mean, first, last})
    if (text == store::to_string(aggregate)) return aggregate;
  return bad("aggregate",
             "'" + std::string(text) + "' is no aggregate: expected mean, min, max, sum, count, first or last");
}

Result<> parse_fill(std::string_view text, Query& query) {
  if (text == "none") query.fill = Fill::none;
  else if (text == "null") query.fill = Fill::null;
  else if (text == "previous") query.fill = Fill::previous;
  else if (text == "linear") query.fill = Fill::linear;
  else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), query.fill_value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(query.fill_value))
      return bad("fill", "expected none, null, previous, linear or a number");
    query.fill = Fill::value;
  }
  return {};
}

Result<> parse_order(std::string_view text, Query& query) {
  if (text == "asc") query.order = store::Order::oldest_first;
  else if (text == "desc") query.order = store::Order::newest_first;
  else return bad("order", "expected asc or desc");
  return {};
}

Result<Duration> parse_width(std::string_view text, std::string_view field) {
  auto parsed = parse_duration(text);
  if (!parsed) return bad(field, parsed.error().message);
  return *parsed;
}

Result<std::size_t> parse_limit(std::string_view text) {
  std::size_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit == 0 || limit > query::kMaxLimit)
    return bad("limit", "expected a number from 1 to " + std::to_string(query::kMaxLimit));
  return limit;
}

Result<std::pair<std::string, std::string>> parse_pair(std::string_view text, std::string_view field) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0)
    return bad(field, "'" + std::string(text) + "': expected key:value");
  return std::pair{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

Result<std::string> parse_group(std::string_view text) {
  if (text == "device") return std::string(text);
  if (text.starts_with("label:") && text.size() > 6) return std::string(text.substr(6));
  return bad("group_by", "'" + std::string(text) + "': expected device or label:<name>");
}

void split(std::string_view text, std::vector<std::string>& into) {
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    if (comma != 0) into.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return;
    text.remove_prefix(comma + 1);
  }
}

/// What both forms end with: the defaults that depend on several fields.
Result<QueryRequest> finish(QueryRequest request, const std::optional<Duration>& width, Duration offset) {
  Query& query = request.query;
  if (width) {
    query.window = store::Window{*width, offset};
    if (query.aggregates.empty()) query.aggregates.push_back(Aggregate::mean);
  } else if (offset.ns != 0) {
    return bad("offset", "an offset needs a window");
  }
  std::ranges::sort(query.select.tags, {}, &Tag::key);
  DO(query::validate(query));
  return request;
}

// --- JSON ------------------------------------------------------------------------------------------------------------

Result<std::vector<std::string>> strings(const json& value, std::string_view field) {
  std::vector<std::string> out;
  if (value.is_string()) return std::vector{value.get<std::string>()};
  if (!value.is_array()) return bad(field, "expected an array of strings");
  for (const json& item : value) {
    if (!item.is_string()) return bad(field, "expected an array of strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

Result<std::vector<std::pair<std::string, std::string>>> pairs(const json& value, std::string_view field) {
  if (!value.is_object()) return bad(field, "expected an object of strings");
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [key, item] : value.items()) {
    if (!item.is_string()) return bad(std::string(field) + "." + key, "expected a string");
    out.emplace_back(key, item.get<std::string>());
  }
  return out;
}

Result<Time> time_of(const json& value, Time now, std::string_view field) {
  if (value.is_string()) return parse_query_time(value.get<std::string>(), now, field);
  Result<Time> parsed = fail(ErrorCode::invalid_argument, "expected a time: RFC 3339, a Unix time or relative (-1h)");
  if (value.is_number_integer()) parsed = time_from_unix(value.get<std::int64_t>());
  else if (value.is_number()) parsed = time_from_unix(value.get<double>());
  if (!parsed) return bad(field, parsed.error().message);
  return parsed;
}

Result<std::string> text_of(const json& value, std::string_view field) {
  if (!value.is_string()) return bad(field, "expected a string");
  return value.get<std::string>();
}

Result<> read_select(const json& select, Query& query) {
  if (!select.is_object()) return bad("select", "expected an object");
  for (const auto& [key, value] : select.items()) {
    const std::string field = "select." + key;
    if (key == "devices") {
      TRY(query.select.devices, strings(value, field));
    } else if (key == "metrics") {
      TRY(query.select.metrics, strings(value, field));
    } else if (key == "labels") {
      TRY(query.select.labels, pairs(value, field));
    } else if (key == "measurement") {
      TRY(query.select.measurement, text_of(value, field));
    } else if (key == "database") {
      TRY(query.select.database, text_of(value, field));
    } else if (key == "tags") {
      TRY(auto tags, pairs(value, field));
      for (auto& [tag, text] : tags) query.select.tags.push_back({std::move(tag), std::move(text)});
    } else {
      return unknown_name("field", key, {"devices", "metrics", "labels", "measurement", "database", "tags"}, field);
    }
  }
  return {};
}

}  // namespace

Result<Time> parse_query_time(std::string_view text, Time now, std::string_view field) {
  if (text == "now") return now;
  std::string_view rest = text;
  if (rest.starts_with("now")) rest.remove_prefix(3);
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+') && rest.size() > 1) {
    const auto shift = parse_duration(rest.substr(1));
    if (shift) return rest.front() == '-' ? now - *shift : now + *shift;
  }
  if (rest.size() == text.size() && !text.empty()) {
    std::int64_t whole = 0;
    const char* end = text.data() + text.size();
    if (const auto read = std::from_chars(text.data(), end, whole); read.ec == std::errc() && read.ptr == end) {
      if (auto time = time_from_unix(whole)) return time;
    } else {
      double number = 0;
      if (const auto real = std::from_chars(text.data(), end, number); real.ec == std::errc() && real.ptr == end) {
        if (auto time = time_from_unix(number)) return time;
      } else if (auto time = parse_rfc3339(text)) {
        return time;
      }
    }
  }
  return bad(field, "'" + std::string(text.substr(0, 64)) +
                        "' is not a time: expected RFC 3339, a Unix time in s, ms, us or ns, now, or a duration "
                        "before it such as -1h");
}

Result<QueryRequest> parse_query_parameters(const std::vector<std::pair<std::string, std::string>>& parameters,
                                            TenantId tenant, Time now) {
  QueryRequest request;
  Query& query = request.query;
  query.select.tenant = tenant;
  std::optional<Duration> width;
  Duration offset;
  for (const auto& [name, value] : parameters) {
    std::vector<std::string> items;
    split(value, items);
    if (name == "device") {
      query.select.devices.insert(query.select.devices.end(), items.begin(), items.end());
    } else if (name == "metric") {
      query.select.metrics.insert(query.select.metrics.end(), items.begin(), items.end());
    } else if (name == "label") {
      for (const auto& item : items) {
        TRY(auto pair, parse_pair(item, name));
        query.select.labels.push_back(std::move(pair));
      }
    } else if (name == "tag") {
      for (const auto& item : items) {
        TRY(auto pair, parse_pair(item, name));
        query.select.tags.push_back({std::move(pair.first), std::move(pair.second)});
      }
    } else if (name == "measurement") {
      query.select.measurement = value;
    } else if (name == "database") {
      query.select.database = value;
    } else if (name == "from") {
      TRY(query.range.from, parse_query_time(value, now, name));
    } else if (name == "to") {
      TRY(query.range.to, parse_query_time(value, now, name));
    } else if (name == "window") {
      TRY(width, parse_width(value, name));
    } else if (name == "offset") {
      TRY(offset, parse_width(value, name));
    } else if (name == "aggregate") {
      for (const auto& item : items) {
        TRY(const auto aggregate, parse_aggregate(item));
        query.aggregates.push_back(aggregate);
      }
    } else if (name == "fill") {
      DO(parse_fill(value, query));
    } else if (name == "group_by") {
      for (const auto& item : items) {
        TRY(auto group, parse_group(item));
        query.group_by.push_back(std::move(group));
      }
    } else if (name == "order") {
      DO(parse_order(value, query));
    } else if (name == "limit") {
      TRY(query.limit, parse_limit(value));
    } else if (name == "cursor") {
      query.cursor = value;
    } else if (name == "epoch") {
      TRY(request.epoch, parse_epoch(value));
    } else {
      return unknown_name("parameter", name,
                          {"device", "metric", "label", "tag", "measurement", "database", "from", "to", "window",
                           "offset", "aggregate", "fill", "group_by", "order", "limit", "cursor", "epoch"},
                          name);
    }
  }
  return finish(std::move(request), width, offset);
}

Result<QueryRequest> parse_query_body(std::string_view text, TenantId tenant, Time now) {
  TRY(const json body, parse_json(text));
  if (!body.is_object()) return fail(ErrorCode::invalid_argument, "expected a JSON object");
  QueryRequest request;
  Query& query = request.query;
  query.select.tenant = tenant;
  std::optional<Duration> width;
  Duration offset;
  for (const auto& [key, value] : body.items()) {
    if (key == "select") {
      DO(read_select(value, query));
    } else if (key == "range") {
      if (!value.is_object()) return bad("range", "expected an object with from and to");
      for (const auto& [side, time] : value.items()) {
        if (side == "from") {
          TRY(query.range.from, time_of(time, now, "range.from"));
        } else if (side == "to") {
          TRY(query.range.to, time_of(time, now, "range.to"));
        } else {
          return unknown_name("field", side, {"from", "to"}, "range." + side);
        }
      }
    } else if (key == "window" || key == "offset") {
      if (value.is_null()) continue;
      TRY(const auto duration_text, text_of(value, key));
      TRY(const auto duration, parse_width(duration_text, key));
      if (key == "window") width = duration;
      else offset = duration;
    } else if (key == "aggregates") {
      TRY(const auto names, strings(value, key));
      for (const auto& name : names) {
        TRY(const auto aggregate, parse_aggregate(name));
        query.aggregates.push_back(aggregate);
      }
    } else if (key == "fill") {
      if (value.is_number()) {
        query.fill = Fill::value;
        query.fill_value = value.get<double>();
      } else if (value.is_null()) {
        query.fill = Fill::null;
      } else {
        TRY(const auto fill, text_of(value, key));
        DO(parse_fill(fill, query));
      }
    } else if (key == "group_by") {
      TRY(const auto names, strings(value, key));
      for (const auto& name : names) {
        TRY(auto group, parse_group(name));
        query.group_by.push_back(std::move(group));
      }
    } else if (key == "order") {
      TRY(const auto order, text_of(value, key));
      DO(parse_order(order, query));
    } else if (key == "limit") {
      if (!value.is_number_integer()) return bad("limit", "expected an integer");
      TRY(query.limit, parse_limit(value.dump()));
    } else if (key == "cursor") {
      if (!value.is_null()) {
        TRY(query.cursor, text_of(value, key));
      }
    } else if (key == "epoch") {
      TRY(const auto epoch, text_of(value, key));
      TRY(request.epoch, parse_epoch(epoch));
    } else {
      return unknown_name("field", key,
                          {"select", "range", "window", "offset", "aggregates", "fill", "group_by", "order", "limit",
                           "cursor", "epoch"},
                          key);
    }
  }
  return finish(std::move(request), width, offset);
}

QueryWriter::QueryWriter(const QueryRequest& request)
    : text_(R"({"series":[)"), epoch_(request.epoch), aggregates_(request.query.aggregates) {}

void QueryWriter::begin_series(const query::Chunk& chunk) {
  if (open_) text_ += "]},";
  open_ = true;
  first_point_ = true;
  const query::Header& header = *chunk.header;
  text_ += R"({"device":)";
  if (header.device.empty()) text_ += "null";
  else observe::append_json_string(text_, header.device);
  text_ += R"(,"metric":)";
  observe::append_json_string(text_, header.metric);
  if (!header.measurement.empty() && header.measurement != "telemetry") {
    text_ += R"(,"measurement":)";
    observe::append_json_string(text_, header.measurement);
  }
  const auto object = [&](std::string_view name, const auto& items, auto key, auto value) {
    if (items.empty()) return;
    text_ += ",\"";
    text_ += name;
    text_ += "\":{";
    bool first = true;
    for (const auto& item : items) {
      if (!first) text_ += ',';
      first = false;
      observe::append_json_string(text_, key(item));
      text_ += ':';
      observe::append_json_string(text_, value(item));
    }
    text_ += '}';
  };
  object("tags", header.tags, [](const Tag& t) { return t.key; }, [](const Tag& t) { return t.value; });
  object("group", header.group, [](const auto& g) { return g.first; }, [](const auto& g) { return g.second; });
  text_ += R"(,"unit":)";
  if (header.unit.empty()) text_ += "null";
  else observe::append_json_string(text_, header.unit);
  text_ += R"(,"type":")";
  text_ += to_string(chunk.columns.front().type);
  text_ += '"';
  text_ += R"(,"columns":["time")";
  if (aggregates_.empty()) text_ += R"(,"value")";
  for (const Aggregate aggregate : aggregates_) {
    text_ += ",\"";
    text_ += store::to_string(aggregate);
    text_ += '"';
  }
  text_ += R"(],"points":[)";
}

void QueryWriter::chunk(const query::Chunk& chunk) {
  if (chunk.first) begin_series(chunk);
  for (std::size_t row = 0; row < chunk.times.size(); ++row) {
    text_ += first_point_ ? "[" : ",[";
    first_point_ = false;
    append_time(text_, Time{chunk.times[row]}, epoch_);
    for (const query::Chunk::Column& column : chunk.columns) {
      text_ += ',';
      if (!column.missing.empty() && column.missing[row]) text_ += "null";
      else append_cell(text_, column.cells[row], column.type, chunk.heap);
    }
    text_ += ']';
  }
}

void QueryWriter::end(const query::Outcome& outcome) {
  if (open_) text_ += "]}";
  text_ += R"(],"next":)";
  if (outcome.next.empty()) text_ += "null";
  else observe::append_json_string(text_, outcome.next);
  if (!outcome.skipped.empty()) {
    text_ += R"(,"skipped":[)";
    for (std::size_t i = 0; i < outcome.skipped.size(); ++i) {
      if (i != 0) text_ += ',';
      observe::append_json_string(text_, outcome.skipped[i]);
    }
    text_ += ']';
  }
  text_ += '}';
}

}  // namespace flux::gateway
