#include "wire/line/line_reader.h"

#include <algorithm>
#include <cstring>

namespace flux::wire::line {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\0'; }

/// A shape that has many fields more than the line would be mostly holes.
bool worth_sharing(std::size_t shape_fields, std::size_t line_fields) { return shape_fields <= 2 * line_fields + 2; }

void unescape(std::string& out, const char* at, const char* end) {
  out.clear();
  for (; at < end; ++at) {
    if (*at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\')) ++at;
    out.push_back(*at);
  }
}

}  // namespace

Result<Precision> parse_precision(std::string_view text) {
  if (text.empty() || text == "n" || text == "ns") return Precision::ns;
  if (text == "u" || text == "us" || text == "µ") return Precision::us;
  if (text == "ms") return Precision::ms;
  if (text == "s") return Precision::s;
  if (text == "m") return Precision::m;
  if (text == "h") return Precision::h;
  return fail(ErrorCode::invalid_argument,
              "invalid precision \"" + std::string(text.substr(0, 32)) + "\" (use n, ns, u, us, ms, s, m or h)",
              "precision");
}

void LineReader::read(std::string_view body, Precision precision, SeriesCache& cache, LineSink& sink,
                      Outcome& outcome) {
  outcome.lines = outcome.rows = outcome.readings = outcome.refused = outcome.dropped = 0;
  outcome.refusals.clear();
  precision_ = precision;
  unit_ = nanoseconds(precision);
  cache_ = &cache;
  sink_ = &sink;
  outcome_ = &outcome;
  const char* at = body.data();
  const char* const end = at + body.size();
  while (at < end) {
    ++outcome.lines;
    // The quick way first: no line that it takes begins with a blank or `#`, since no cached key does.
    std::size_t size = 0;
    SeriesRows* rows = cache.expected(at, end, size);
    if (rows == nullptr) {
      const char* const key_end = find_key_end(at, end);
      if (key_end < end && *key_end == ' ') {
        size = static_cast<std::size_t>(key_end - at);
        rows = cache.find({at, size});
      }
    }
    if (rows != nullptr) {
      if (BatchBuilder* const builder = sink.accept(*rows)) {
        if (const char* const next = quick_row(at + size, end, *rows, *builder)) {
          at = next;
          continue;
        }
      }
    }
    const char* const line_begin = at;
    while (at < end && is_blank(*at)) ++at;
    indent_ = static_cast<std::size_t>(at - line_begin);
    const char* line_end = nullptr;
    if (at < end && *at == '#') {
      const void* const newline = std::memchr(at, '\n', static_cast<std::size_t>(end - at));
      line_end = newline != nullptr ? static_cast<const char*>(newline) : end;
    } else {
      line_end = find_line_end(at, end);
      std::string_view line(at, static_cast<std::size_t>(line_end - at));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) slow_row(line);
      outcome.lines += static_cast<std::uint32_t>(std::ranges::count(line, '\n'));
    }
    at = line_end + 1;
  }
}

/// From the blank behind the key to the beginning of the next line. Null, and nothing has happened, when the line is
/// not just what was expected.
const char* LineReader::quick_row(const char* at, const char* end, SeriesRows& rows, BatchBuilder& builder) {
  while (*at == ' ') ++at;
  for (std::size_t i = 0; i < rows.layouts_.size(); ++i) {
    const char* const fields_end = match(at, end, rows.layouts_[i]);
    if (fields_end == nullptr) continue;
    if (i > 0) std::swap(rows.layouts_[i], rows.layouts_[0]);
    return finish(fields_end, end, rows, rows.layouts_[0], builder);
  }
  return nullptr;
}

/// Reads fields into `cells_`, `texts_` and `missing_`; the byte behind them. Null when they do not fit.
const char* LineReader::match(const char* at, const char* end, const Layout& layout) {
  const FieldList& list = *layout.fields;
  if (list.newlines) return nullptr;
  const char* const names = list.names.data();
  const std::size_t count = list.entries.size();
  cells_.resize(count);
  texts_.clear();
  missing_.clear();
  const FieldList::Entry* entry = list.entries.data();
  const FieldList::Entry* const last = entry + count;
  for (;;) {
    for (;; ++entry) {
      if (entry == last) return nullptr;
      if (same(at, names + entry->name, entry->size)) break;
      missing_.push_back(entry->column);
    }
    at += entry->size;
    Cell cell = 0;
    switch (entry->type) {
      case ValueType::float64: at = quick_float64(at, cell); break;
      case ValueType::int64: at = quick_int64(at, cell); break;
      case ValueType::uint64: at = quick_uint64(at, cell); break;
      case ValueType::boolean: at = quick_boolean(at, cell); break;
      case ValueType::string: {
        if (*at != '"') return nullptr;
        Text text{entry->column, at + 1, nullptr, false};
        const char* p = find_quote_or_backslash(at + 1, end);
        while (p < end && *p == '\\') {
          text.escaped = true;
          p = end - p < 2 ? end : find_quote_or_backslash(p + 2, end);
        }
        if (p >= end || static_cast<std::size_t>(p - text.begin) > limits_.max_string_bytes) return nullptr;
        text.end = p;
        texts_.push_back(text);
        at = p + 1;
        break;
      }
    }
    if (at == nullptr) return nullptr;
    cells_[entry->column] = cell;
    ++entry;
    if (*at != ',') break;
    ++at;
  }
  for (; entry != last; ++entry) missing_.push_back(entry->column);
  return worth_sharing(count, count - missing_.size()) ? at : nullptr;
}

/// Reads the time and stages the row.
const char* LineReader::finish(const char* at, const char* end, SeriesRows& rows, const Layout& layout,
                               BatchBuilder& builder) {
  Time time;
  bool timed = false;
  if (at < end && *at == ' ') {
    at = quick_time(at + 1, unit_, time.ns);
    if (at == nullptr) return nullptr;
    timed = true;
  }
  if (at < end && *at == '\r') ++at;
  if (at < end && *at != '\n') return nullptr;
  if (!timed) time = rows.next_time();

  std::span<Cell> cells = builder.add_row(layout.shape, time);
  std::memcpy(cells.data(), cells_.data(), cells.size() * sizeof(Cell));
  for (const Text& text : texts_) {
    outcome_->lines += static_cast<std::uint32_t>(std::count(text.begin, text.end, '\n'));
    if (text.escaped) {
      unescape(unescaped_, text.begin, text.end);
      cells[text.column] = builder.add_string(unescaped_);
    } else {
      cells[text.column] = builder.add_string({text.begin, static_cast<std::size_t>(text.end - text.begin)});
    }
  }
  for (const std::uint32_t column : missing_) builder.set_missing(column);
  ++outcome_->rows;
  outcome_->readings += static_cast<std::uint32_t>(cells.size() - missing_.size());
  return at + 1;
}

/// The way of lines that are new or odd: taken apart, judged, and learned from.
bool LineReader::slow_row(std::string_view line) {
  if (auto bad = point_.parse(line, precision_)) {
    refuse(line, bad->offset, {ErrorCode::invalid_argument, std::move(bad->cause), {}}, false);
    return false;
  }
  if (point_.fields.size() > limits_.max_fields) {
    refuse(line, point_.raw_key.size() + 1,
           {ErrorCode::too_large,
            "too many fields: " + std::to_string(point_.fields.size()) + " > " + std::to_string(limits_.max_fields),
            {}},
           true);
    return false;
  }
  for (const Point::Field& field : point_.fields) {
    if (field.text.size() <= limits_.max_string_bytes) continue;
    refuse(line, static_cast<std::size_t>(field.raw_key.data() - line.data()),
           {ErrorCode::too_large,
            "string field \"" + std::string(field.key) + "\" too long: " + std::to_string(field.text.size()) + " > " +
                std::to_string(limits_.max_string_bytes),
            {}},
           true);
    return false;
  }
  SeriesRows* rows = cache_->known(point_.raw_key);
  BatchBuilder* builder = rows != nullptr ? sink_->accept(*rows) : nullptr;
  if (builder == nullptr) {
    if (rows != nullptr) cache_->erase(point_.raw_key);
    auto opened = sink_->open(point_);
    if (!opened) {
      refuse(line, 0, std::move(opened).error(), true);
      return false;
    }
    rows = &cache_->insert(point_.raw_key, *std::move(opened));
    builder = sink_->accept(*rows);
    CHECK(builder != nullptr);
  }
  if (auto stored = store(*rows, *builder); !stored) {
    std::size_t offset = point_.raw_key.size() + 1;
    for (const Point::Field& field : point_.fields)
      if (field.key == stored.error().field) offset = static_cast<std::size_t>(field.raw_key.data() - line.data());
    refuse(line, offset, std::move(stored).error(), true);
    return false;
  }
  return true;
}

Result<> LineReader::store(SeriesRows& rows, BatchBuilder& builder) {
  TRY(const Layout* const layout, layout_for(rows));
  const Time time = point_.time ? Time{*point_.time} : rows.next_time();
  const std::span<Cell> cells = builder.add_row(layout->shape, time);
  const std::vector<FieldDef>& defined = layout->shape->fields();
  missing_.clear();
  for (std::uint32_t column = 0; column < cells.size(); ++column) {
    const auto field = std::ranges::find(point_.fields, defined[column].name, &Point::Field::key);
    if (field == point_.fields.end()) missing_.push_back(column);
    else cells[column] = field->type == ValueType::string ? builder.add_string(field->text) : field->cell;
  }
  const std::size_t taken = cells.size() - missing_.size();
  for (const std::uint32_t column : missing_) builder.set_missing(column);  // the cells may have moved after it
  ++outcome_->rows;
  outcome_->readings += static_cast<std::uint32_t>(taken);
  return {};
}

/// The layout whose shape has just the fields of the line, or not many more.
Result<const SeriesRows::Layout*> LineReader::layout_for(SeriesRows& rows) {
  const auto& fields = point_.fields;
  for (Layout& layout : rows.layouts_) {
    const std::vector<FieldDef>& defined = layout.shape->fields();
    if (!worth_sharing(defined.size(), fields.size())) continue;
    const bool covers = std::ranges::all_of(fields, [&](const Point::Field& field) {
      return std::ranges::any_of(defined,
                                 [&](const FieldDef& d) { return d.type == field.type && d.name == field.key; });
    });
    if (!covers) continue;
    // As the names came now, so that lines like this one go the quick way; those that did not come stand last.
    std::vector<std::string_view> order;
    for (const auto& entry : layout.fields->entries)
      order.push_back(std::string_view(layout.fields->names).substr(entry.name, entry.size - 1));
    std::size_t next = 0;
    for (const std::string_view name : order)
      if (next < fields.size() && fields[next].raw_key == name) ++next;
    if (next == fields.size()) {
      std::swap(layout, rows.layouts_.front());
      return &rows.layouts_.front();
    }
    std::erase_if(order, [&](std::string_view name) {
      return std::ranges::find(fields, name, &Point::Field::raw_key) != fields.end();
    });
    for (std::size_t i = 0; i < fields.size(); ++i)
      order.insert(order.begin() + static_cast<std::ptrdiff_t>(i), fields[i].raw_key);
    return keep(rows, layout.shape, order);
  }
  return new_layout(rows);
}

/// A shape with the fields of the line, and with those of the shape used last when that does not make many holes.
Result<const SeriesRows::Layout*> LineReader::new_layout(SeriesRows& rows) {
  std::vector<FieldDef> defined;
  std::vector<std::string_view> order;  // as sent
  if (!rows.layouts_.empty()) {
    const Layout& last = rows.layouts_.front();
    for (const auto& entry : last.fields->entries) {
      const FieldDef& known = last.shape->fields()[entry.column];
      defined.push_back(known);
      order.push_back(std::string_view(last.fields->names).substr(entry.name, entry.size - 1));
    }
  }
  std::size_t place = 0;  // new ones come behind the field that they follow in the line
  bool conflict = false;
  for (const Point::Field& field : point_.fields) {
    const auto known = std::ranges::find(defined, field.key, &FieldDef::name);
    if (known != defined.end()) {
      conflict |= known->type != field.type;
      place = static_cast<std::size_t>(known - defined.begin()) + 1;
      continue;
    }
    const auto offset = static_cast<std::ptrdiff_t>(place++);
    defined.insert(defined.begin() + offset, FieldDef{std::string(field.key), field.type});
    order.insert(order.begin() + offset, field.raw_key);
  }
  if (conflict || !worth_sharing(defined.size(), point_.fields.size())) {
    defined.clear();
    order.clear();
    for (const Point::Field& field : point_.fields) {
      defined.push_back({std::string(field.key), field.type});
      order.push_back(field.raw_key);
    }
  }
  TRY(ShapePtr shape, rows.make_shape(std::move(defined)));
  return keep(rows, std::move(shape), order);
}

const SeriesRows::Layout* LineReader::keep(SeriesRows& rows, ShapePtr shape,
                                           const std::vector<std::string_view>& order) {
  FieldList list;
  std::string name;
  for (const std::string_view raw : order) {
    // Names that need no unescaping are looked for as they are; the line knows the others.
    name = raw;
    for (const Point::Field& field : point_.fields)
      if (field.raw_key == raw) name = field.key;
    std::uint32_t column = 0;
    const auto& defined = shape->fields();
    while (column < defined.size() && defined[column].name != name) ++column;
    if (column == defined.size()) {  // it was escaped, and the line does not name it: of the layout before
      for (const Layout& layout : rows.layouts_)
        for (const auto& entry : layout.fields->entries)
          if (std::string_view(layout.fields->names).substr(entry.name, entry.size - 1) == raw)
            name = layout.shape->fields()[entry.column].name;
      for (column = 0; column < defined.size() && defined[column].name != name;) ++column;
    }
    CHECK(column < defined.size());
    list.entries.push_back({.name = static_cast<std::uint32_t>(list.names.size()),
                            .size = static_cast<std::uint32_t>(raw.size() + 1),
                            .type = defined[column].type,
                            .column = column});
    list.names += raw;
    list.names += '=';
  }
  list.newlines = list.names.contains('\n');
  list.names.reserve(list.names.size() + 16);  // comparisons read beyond the last name
  if (rows.layouts_.size() >= SeriesRows::kMaxLayouts) rows.layouts_.pop_back();
  rows.layouts_.insert(rows.layouts_.begin(), Layout{std::move(shape), cache_->share(std::move(list))});
  return &rows.layouts_.front();
}

void LineReader::refuse(std::string_view line, std::size_t offset, Error error, bool dropped) {
  ++outcome_->refused;
  outcome_->dropped += dropped ? 1 : 0;
  if (outcome_->refusals.size() >= kMaxRefusals) return;
  const std::string_view before = line.substr(0, offset);
  const auto newlines = static_cast<std::uint32_t>(std::ranges::count(before, '\n'));
  const std::size_t column = newlines == 0 ? indent_ + offset : offset - before.rfind('\n') - 1;
  std::string shown(line.substr(0, kShownBytes));
  if (line.size() > kShownBytes) shown += "…";
  outcome_->refusals.push_back({.line = outcome_->lines + newlines,
                                .column = static_cast<std::uint32_t>(column + 1),
                                .text = std::move(shown),
                                .error = std::move(error),
                                .dropped = dropped});
}

}  // namespace flux::wire::line
