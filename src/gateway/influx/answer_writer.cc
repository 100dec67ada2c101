#include "gateway/influx/answer_writer.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

#include "gateway/json_text.h"
#include "observe/json.h"

namespace flux::gateway::influx {
namespace {

using observe::append_json_string;
using query::influxql::AnswerSeries;
using query::influxql::Column;
using query::influxql::DataType;
using query::influxql::Strings;

/// The shortest digits that read back as the same double: as Go's JSON, or without an exponent as its CSV.
void append_number(std::string& out, double value, bool plain) {
  std::array<char, 400> digits;
  const double size = std::abs(value);
  const bool exponent = !plain && size != 0 && (size < 1e-6 || size >= 1e21);
  const auto format = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(digits.begin(), digits.end(), value, format).ptr;
  std::string_view text(digits.data(), static_cast<std::size_t>(end - digits.data()));
  // Go writes 1e-7 and not 1e-07.
  if (exponent && text.size() >= 4 && text[text.size() - 4] == 'e' && text[text.size() - 3] == '-' &&
      text[text.size() - 2] == '0') {
    out += text.substr(0, text.size() - 2);
    out += text.back();
    return;
  }
  out += text;
}

void append_value(std::string& out, const Column& column, std::size_t row, const Strings& strings, bool csv) {
  if (!column.has(row)) {
    if (!csv) out += "null";
    return;
  }
  const Cell cell = column.cells[row];
  switch (column.type) {
    case DataType::float64:
      if (std::isfinite(as_float64(cell))) append_number(out, as_float64(cell), csv);
      else if (!csv) out += "null";
      return;
    case DataType::int64: append_integer(out, as_int64(cell)); return;
    case DataType::uint64: append_integer(out, static_cast<std::uint64_t>(cell)); return;
    case DataType::boolean: out += cell != 0 ? "true" : "false"; return;
    default:
      if (csv) out += strings.text(cell);
      else append_json_string(out, strings.text(cell));
  }
}

void append_csv(std::string& out, std::string_view field) {
  const bool quote = !field.empty() && (field.find_first_of(",\"\r\n") != std::string_view::npos ||
                                        field.front() == ' ' || field.front() == '\t' || field == "\\.");
  if (!quote) {
    out += field;
    return;
  }
  out += '"';
  for (const char c : field) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

std::int64_t divisor(std::string_view epoch) {
  if (epoch == "u") return 1'000;
  if (epoch == "ms") return 1'000'000;
  if (epoch == "s") return 1'000'000'000;
  if (epoch == "m") return 60'000'000'000;
  if (epoch == "h") return 3'600'000'000'000;
  return 1;
}

/// RFC 3339 with as many digits of the second as there are.
std::string rfc3339(std::int64_t ns, const query::TimeZonePtr& zone) {
  const std::int64_t offset = zone ? zone->offset_at(ns) : 0;
  std::string text = to_rfc3339(Time{ns + offset});
  if (const std::size_t dot = text.find('.'); dot != std::string::npos) {
    std::size_t end = text.size() - 1;  // before the Z
    while (text[end - 1] == '0') --end;
    text.erase(end, text.size() - 1 - end);
  }
  if (offset == 0) return text;
  text.pop_back();
  const std::int64_t minutes = std::abs(offset) / 60'000'000'000;
  std::array<char, 8> tail{};
  std::snprintf(tail.data(), tail.size(), "%c%02d:%02d", offset < 0 ? '-' : '+', static_cast<int>(minutes / 60 % 100),
                static_cast<int>(minutes % 60));
  return text + tail.data();
}

void append_tag(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == ',' || c == '=' || c == ' ') out += '\\';
    out += c;
  }
}

}  // namespace

std::string indented(std::string_view json) {
  std::string out;
  std::size_t depth = 0;
  bool in_string = false;
  const auto line = [&] {
    out += '\n';
    out.append(depth * 4, ' ');
  };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      out += c;
      if (c == '\\') out += json[++i];
      else if (c == '"') in_string = false;
      continue;
    }
    switch (c) {
      case '"':
        in_string = true;
        out += c;
        break;
      case '{':
      case '[':
        out += c;
        if (i + 1 < json.size() && (json[i + 1] == '}' || json[i + 1] == ']')) {
          out += json[++i];
          break;
        }
        ++depth;
        line();
        break;
      case '}':
      case ']':
        --depth;
        line();
        out += c;
        break;
      case ',':
        out += c;
        line();
        break;
      case ':': out += ": "; break;
      default: out += c;
    }
  }
  return out;
}

std::string AnswerWriter::time(std::int64_t ns, const query::TimeZonePtr& zone) const {
  if (!options_.epoch.empty()) return std::to_string(ns / divisor(options_.epoch));
  if (options_.csv) return std::to_string(ns);
  return '"' + rfc3339(ns, zone) + '"';
}

bool AnswerWriter::hand_over(bool all) {
  if (!wanted_) return false;
  // Pretty answers are indented as a whole.
  if (!all && (text_.size() < piece_bytes_ || (options_.pretty && !options_.chunked && !options_.csv))) return true;
  if (text_.empty()) return true;
  handed_over_ = true;
  ever_ = true;
  started_at_ = 0;
  wanted_ = push_(std::exchange(text_, {}));
  return wanted_;
}

void AnswerWriter::begin(std::size_t statement) {
  statement_ = statement;
  started_at_ = text_.size();
  handed_over_ = false;
  any_series_ = false;
  in_series_ = false;
  messages_.clear();
  error_.clear();
  chunk_.clear();
  csv_columns_.clear();
  if (options_.csv || options_.chunked) return;
  text_ += any_statement_ ? "," : "{\"results\":[";
  any_statement_ = true;
  text_ += "{\"statement_id\":" + std::to_string(statement);
}

bool AnswerWriter::series(AnswerSeries&& series, const Strings& strings) {
  return options_.csv ? csv_series(series, strings) : json_series(series, strings);
}

void AnswerWriter::json_head(const AnswerSeries& series) {
  std::string& out = options_.chunked ? chunk_ : text_;
  out += '{';
  if (!series.name.empty()) {
    out += "\"name\":";
    append_json_string(out, series.name);
    out += ',';
  }
  if (!series.tags.empty()) {
    out += "\"tags\":{";
    for (std::size_t i = 0; i < series.tags.size(); ++i) {
      if (i != 0) out += ',';
      append_json_string(out, series.tags[i].key);
      out += ':';
      append_json_string(out, series.tags[i].value);
    }
    out += "},";
  }
  out += "\"columns\":[";
  for (std::size_t i = 0; i < series.columns.size(); ++i) {
    if (i != 0) out += ',';
    append_json_string(out, series.columns[i]);
  }
  out += ']';
}

void AnswerWriter::write_chunk(bool partial) {
  if (chunk_.empty()) return;
  std::string document =
      "{\"results\":[{\"statement_id\":" + std::to_string(statement_) + ",\"series\":[" + chunk_ + "]";
  if (partial) document += ",\"partial\":true";
  document += "}]}";
  text_ += options_.pretty ? indented(document) : document;
  text_ += '\n';
  chunk_.clear();
}

bool AnswerWriter::json_series(const AnswerSeries& series, const Strings& strings) {
  const auto& table = series.table;
  const std::size_t rows = table.times.size();
  std::size_t row = 0;
  do {
    const std::size_t end = options_.chunked ? std::min(rows, row + options_.chunk_rows) : rows;
    if (options_.chunked) {
      write_chunk(series.streamed);
    } else {
      text_ += any_series_ ? "," : ",\"series\":[";
    }
    any_series_ = true;
    json_head(series);
    std::string& out = options_.chunked ? chunk_ : text_;
    if (rows != 0) out += ",\"values\":[";
    for (std::size_t first = row; row < end; ++row) {
      out += row == first ? "[" : ",[";
      if (series.timed) out += time(table.times[row], series.zone);
      for (std::size_t i = 0; i < table.columns.size(); ++i) {
        if (i != 0 || series.timed) out += ',';
        append_value(out, table.columns[i], row, strings, false);
      }
      out += ']';
      if (!options_.chunked && !hand_over(false)) return false;
    }
    if (rows != 0) out += ']';
    if (options_.chunked && row < rows) out += ",\"partial\":true";
    out += '}';
    if (!hand_over(false)) return false;
  } while (row < rows);
  return wanted_;
}

bool AnswerWriter::csv_series(const AnswerSeries& series, const Strings& strings) {
  if (csv_columns_ != series.columns) {
    if (csv_any_) text_ += '\n';
    csv_any_ = true;
    text_ += "name,tags";
    for (const std::string& column : series.columns) {
      text_ += ',';
      append_csv(text_, column);
    }
    text_ += '\n';
    csv_columns_ = series.columns;
  }
  std::string tags;
  for (const Tag& tag : series.tags) {
    if (tag.value.empty()) continue;
    if (!tags.empty()) tags += ',';
    append_tag(tags, tag.key);
    tags += '=';
    append_tag(tags, tag.value);
  }
  const auto& table = series.table;
  std::string value;
  for (std::size_t row = 0; row < table.times.size(); ++row) {
    append_csv(text_, series.name);
    text_ += ',';
    append_csv(text_, tags);
    if (series.timed) text_ += ',' + time(table.times[row], nullptr);
    for (const Column& column : table.columns) {
      value.clear();
      append_value(value, column, row, strings, true);
      text_ += ',';
      append_csv(text_, value);
    }
    text_ += '\n';
    if (!hand_over(false)) return false;
  }
  return wanted_;
}

void AnswerWriter::message(std::string_view text) {
  messages_ += messages_.empty() ? "" : ",";
  messages_ += "{\"level\":\"warning\",\"text\":";
  append_json_string(messages_, text);
  messages_ += '}';
}

void AnswerWriter::error(std::string_view text) {
  error_ = text;
  chunk_.clear();
  if (handed_over_ || options_.csv || options_.chunked) return;
  // The error stands in place of what the statement gave.
  text_.resize(started_at_);
  text_ += text_.empty() && statement_ == 0 ? "{\"results\":[" : "";
  if (statement_ != 0) text_ += ',';
  text_ += "{\"statement_id\":" + std::to_string(statement_);
  any_series_ = false;
}

void AnswerWriter::end() {
  if (options_.csv) {
    hand_over(false);
    return;
  }
  std::string rest;
  if (!messages_.empty()) rest += ",\"messages\":[" + messages_ + "]";
  if (!error_.empty()) {
    rest += ",\"error\":";
    append_json_string(rest, error_);
  }
  if (options_.chunked) {
    write_chunk(false);
    if (!any_series_ || !rest.empty()) {
      const std::string document = "{\"results\":[{\"statement_id\":" + std::to_string(statement_) + rest + "}]}";
      text_ += (options_.pretty ? indented(document) : document) + "\n";
    }
    hand_over(false);
    return;
  }
  if (any_series_) text_ += ']';
  text_ += rest + "}";
  hand_over(false);
}

bool AnswerWriter::finish() {
  if (!options_.csv && !options_.chunked) {
    text_ += any_statement_ ? "]}" : "{\"results\":[]}";
    if (options_.pretty) text_ = indented(text_);
    text_ += '\n';
  }
  if (text_.empty() && !ever_) return push_({});
  return hand_over(true);
}

}  // namespace flux::gateway::influx
