#include "wire/line/point.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace flux::wire::line {
namespace {

constexpr std::size_t kMaxKey = 65'535;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\0'; }

PointError error(std::size_t offset, std::string_view cause) { return {offset, std::string(cause)}; }

std::string too_long(std::size_t size) {
  return "max key length exceeded: " + std::to_string(size) + " > " + std::to_string(kMaxKey);
}

/// The first of `stops` from `at` on that no backslash stands before.
std::size_t find_unescaped(std::string_view line, std::size_t at, std::string_view stops) {
  for (; at < line.size(); ++at)
    if (stops.contains(line[at]) && (at == 0 || line[at - 1] != '\\')) return at;
  return line.size();
}

}  // namespace

std::string_view Point::unescaped(std::string_view text, std::string_view escapable) {
  const std::size_t first = text.find('\\');
  if (first == std::string_view::npos) return text;
  const std::size_t begin = scratch_.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && escapable.contains(text[i + 1])) ++i;
    scratch_.push_back(text[i]);
  }
  return std::string_view(scratch_).substr(begin);
}

std::optional<PointError> Point::parse(std::string_view line, Precision precision) {
  scratch_.clear();
  scratch_.reserve(line.size());
  tags.clear();
  fields.clear();
  time.reset();
  std::size_t at = 0;
  if (auto bad = parse_key(line, at)) return bad;
  while (at < line.size() && is_blank(line[at])) ++at;
  if (at == line.size()) return error(at, "missing fields");
  for (;;) {
    if (auto bad = parse_field(line, at)) return bad;
    if (at == line.size() || line[at] == ' ') break;
    ++at;  // the comma
  }
  drop_repeated();
  return parse_time(line, at, precision);
}

/// Of fields with one key the last counts, at the place of the first.
void Point::drop_repeated() {
  order_.resize(fields.size());
  std::iota(order_.begin(), order_.end(), 0U);
  std::ranges::sort(order_, [this](unsigned a, unsigned b) {
    return fields[a].key != fields[b].key ? fields[a].key < fields[b].key : a < b;
  });
  bool any = false;
  for (std::size_t i = 0; i < order_.size();) {
    const std::size_t first = i++;
    for (; i < order_.size() && fields[order_[i]].key == fields[order_[first]].key; ++i) {
      fields[order_[first]] = fields[order_[i]];
      fields[order_[i]].raw_key = {};
      any = true;
    }
  }
  if (any) std::erase_if(fields, [](const Field& field) { return field.raw_key.empty(); });
}

std::optional<PointError> Point::parse_key(std::string_view line, std::size_t& at) {
  if (line.empty() || line[0] == ',') return error(0, "missing measurement");
  at = find_unescaped(line, 1, ", ");
  if (at == line.size()) return error(at, "missing fields");
  measurement = unescaped(line.substr(0, at), ", ");
  for (bool more = line[at] == ','; more;)
    if (auto bad = parse_tag(line, at, more)) return bad;
  raw_key = line.substr(0, at);
  if (raw_key.size() > kMaxKey) return error(0, too_long(raw_key.size()));
  if (!std::ranges::is_sorted(tags, {}, &Tag::key)) std::ranges::sort(tags, {}, &Tag::key);
  const auto twice = std::ranges::adjacent_find(tags, {}, &Tag::key);
  if (twice != tags.end()) return error(measurement.size(), "duplicate tags");
  return std::nullopt;
}

/// From a comma to the comma or blank behind the tag.
std::optional<PointError> Point::parse_tag(std::string_view line, std::size_t& at, bool& more) {
  const std::size_t key = at + 1;
  if (key == line.size() || line[key] == ' ' || line[key] == ',' || line[key] == '=')
    return error(key, "missing tag key");
  const std::size_t equals = find_unescaped(line, key + 1, "=, ");
  if (equals == line.size() || line[equals] != '=') return error(equals, "missing tag value");
  const std::size_t value = equals + 1;
  if (value == line.size() || line[value] == ',' || line[value] == ' ') return error(value, "missing tag value");
  const std::size_t end = line[value] == '=' ? value : find_unescaped(line, value + 1, "=, ");
  if (end == line.size()) return error(end, "missing fields");
  if (line[end] == '=') return error(end, "invalid tag format");
  tags.push_back({unescaped(line.substr(key, equals - key), ",= "), unescaped(line.substr(value, end - value), ",= ")});
  more = line[end] == ',';
  at = end;
  return std::nullopt;
}

/// Up to the comma, blank or end behind the field.
std::optional<PointError> Point::parse_field(std::string_view line, std::size_t& at) {
  const std::size_t key = at;
  const std::size_t equals = find_unescaped(line, key, "=, ");
  if (equals == line.size() || line[equals] != '=') return error(equals, "invalid field format");
  if (equals == key) return error(key, "missing field key");
  const std::size_t value = equals + 1;
  if (value == line.size() || line[value] == ',' || line[value] == ' ') return error(value, "missing field value");
  Field field;
  field.raw_key = line.substr(key, equals - key);
  if (const std::size_t size = raw_key.size() + 4 + field.raw_key.size(); size > kMaxKey)
    return error(key, too_long(size));
  if (line[value] == '"') {
    std::size_t end = value + 1;
    while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
    if (end >= line.size()) return error(value, "unbalanced quotes");
    field.type = ValueType::string;
    field.text = unescaped(line.substr(value + 1, end - value - 1), "\"\\");
    at = end + 1;
    if (at < line.size() && line[at] != ',' && line[at] != ' ') return error(at, "invalid field format");
  } else {
    at = std::min(line.find_first_of(", ", value), line.size());
    if (!read_value(line.substr(value, at - value), field.type, field.cell, cause_)) return PointError{value, cause_};
  }
  field.key = unescaped(field.raw_key, ",\" =");
  fields.push_back(field);
  return std::nullopt;
}

std::optional<PointError> Point::parse_time(std::string_view line, std::size_t at, Precision precision) {
  while (at < line.size() && is_blank(line[at])) ++at;
  if (at == line.size()) return std::nullopt;
  std::size_t end = at + (line[at] == '-' ? 1 : 0);
  while (end < line.size() && line[end] >= '0' && line[end] <= '9') ++end;
  if (end < line.size() && line[end] != ' ') return error(end, "bad timestamp");
  std::int64_t ns = 0;
  if (!read_time(line.substr(at, end - at), precision, ns, cause_)) return PointError{at, cause_};
  time = ns;
  const std::size_t more = std::min(line.find_first_not_of(' ', end), line.size());
  if (more < line.size()) return error(more, "point is invalid");
  return std::nullopt;
}

const char* find_line_end(const char* at, const char* end) {
  const auto* newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
  const char* const first = newline != nullptr ? newline : end;
  if (find_quote_or_backslash(at, first) == first) return first;
  bool fields = false;
  const char* p = at;
  while (p < end) {
    const bool escaped = p > at && p[-1] == '\\';
    if (*p == '\n' && !escaped) return p;
    if (*p == ' ' && !escaped) fields = true;
    if (*p == '"' && fields && p[-1] == '=' && p[-2] != '\\') {
      for (p = find_quote_or_backslash(p + 1, end); p < end && *p == '\\';)
        p = end - p < 2 ? end : find_quote_or_backslash(p + 2, end);
      if (p == end) return first;  // never closed
    }
    ++p;
  }
  return end;
}

}  // namespace flux::wire::line
