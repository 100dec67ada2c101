#include "wire/json/row_reader.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

namespace flux::wire::json {
namespace {

bool has_control(std::string_view name) {
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && i + 1 < name.size() && static_cast<unsigned char>(name[i + 1]) < 0xA0) return true;  // U+0080…9F
  }
  return false;
}

}  // namespace

void RowReader::read(const JsonRow& row, DeviceRows& device, TelemetryOutcome& outcome) {
  rows_ = &device;
  outcome_ = &outcome;
  // Layouts are tried by their names' bytes; most devices match the first.
  auto& layouts = rows_->layouts_;
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    if (!matches(layouts[i], row)) continue;
    if (i != 0)
      std::rotate(layouts.begin(), layouts.begin() + static_cast<std::ptrdiff_t>(i),
                  layouts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    return add_row(layouts.front().shape, row);
  }
  learn(row);
}

bool RowReader::matches(const RowLayout& layout, const JsonRow& row) {
  const auto& fields = layout.shape->fields();
  cells_.resize(fields.size());
  absent_.clear();
  strings_.clear();
  std::size_t at = 0;
  if (layout.keys.empty()) {
    for (const dom::key_value_pair pair : row.metrics) {
      if (row.is_reserved(pair.key)) continue;
      if (at == fields.size() || pair.key != fields[at].name) return false;
      fill(at, fields[at].type, pair.value);
      ++at;
    }
    return at == fields.size();
  }
  for (const dom::key_value_pair pair : row.metrics) {
    if (row.is_reserved(pair.key)) continue;
    if (at == layout.keys.size() || pair.key != layout.keys[at].name) return false;
    const std::uint32_t field = layout.keys[at].field;
    if (field != RowLayout::kNotStored) fill(field, fields[field].type, pair.value);
    else if (pair.value.type() != element_type::NULL_VALUE) return false;
    ++at;
  }
  return at == layout.keys.size();
}

void RowReader::fill(std::size_t field, ValueType type, const Element& value) {
  if (convert(value, type, cells_[field])) [[likely]] {
    if (type == ValueType::string) strings_.push_back({static_cast<std::uint32_t>(field), text_of(value)});
    return;
  }
  cells_[field] = 0;
  absent_.push_back({static_cast<std::uint32_t>(field), value});
}

bool RowReader::convert(const Element& value, ValueType type, Cell& cell) const {
  const element_type given = value.type();
  switch (type) {
    case ValueType::float64:
      if (given == element_type::DOUBLE) cell = to_cell(value.get_double().value_unsafe());
      else if (given == element_type::INT64) cell = to_cell(static_cast<double>(value.get_int64().value_unsafe()));
      else if (given == element_type::UINT64) cell = to_cell(static_cast<double>(value.get_uint64().value_unsafe()));
      else return false;
      return true;
    case ValueType::int64: {
      std::int64_t number = 0;
      if (!is_number(given) || !exact(value, number)) return false;
      cell = to_cell(number);
      return true;
    }
    case ValueType::uint64: {
      std::uint64_t number = 0;
      if (!is_number(given) || !exact(value, number)) return false;
      cell = to_cell(number);
      return true;
    }
    case ValueType::boolean:
      if (given != element_type::BOOL) return false;
      cell = to_cell(value.get_bool().value_unsafe());
      return true;
    case ValueType::string:
      return given == element_type::STRING && text_of(value).size() <= limits_.max_string_bytes &&
             !parser_.is_mark(value);
  }
  return false;
}

void RowReader::add_row(const ShapePtr& shape, const JsonRow& row) {
  const std::size_t fields = shape->field_count();
  if (!absent_.empty()) [[unlikely]] {
    for (const Absent& missing : absent_) {
      if (missing.value.type() == element_type::NULL_VALUE) continue;
      const FieldDef& field = shape->fields()[missing.field];
      refusals_.add_value(row.place, row.under, field.name, why_not(missing.value, field.type));
    }
    if (absent_.size() == fields) return refuse_if_nothing(row);
  }
  BatchBuilder& builder = rows_->builder();
  for (const Text& text : strings_) cells_[text.field] = builder.add_string(text.value);
  const std::span<Cell> to = builder.add_row(shape, row.time ? *row.time : rows_->next_time());
  std::memcpy(to.data(), cells_.data(), fields * sizeof(Cell));
  for (const Absent& missing : absent_) builder.set_missing(missing.field);
  ++outcome_->rows;
  outcome_->readings += static_cast<std::uint32_t>(fields - absent_.size());
}

void RowReader::refuse_if_nothing(const JsonRow& row) {
  bool names = false;
  for (const dom::key_value_pair pair : row.metrics) {
    if (row.is_reserved(pair.key)) continue;
    names = true;
    if (pair.value.type() != element_type::NULL_VALUE) return;
  }
  refusals_.add(row.place, row.under,
                names ? "every value is null: expected at least one" : "has no values: expected at least one");
}

void RowReader::learn(const JsonRow& row) {
  std::vector<Candidate> candidates;
  bool repeatable = true;  // the names can be a layout: none was refused
  for (const dom::key_value_pair pair : row.metrics) {
    if (row.is_reserved(pair.key)) continue;
    if (candidates.size() == limits_.max_metrics) {
      refusals_.add(row.place, row.under,
                    "has more than " + std::to_string(limits_.max_metrics) + " values: the limit for one reading",
                    ErrorCode::too_large);
      return;
    }
    candidates.push_back({pair.key, pair.value});
  }
  mark_twice(candidates);

  std::vector<FieldDef> fields;
  for (Candidate& candidate : candidates) {
    if (auto reason = unusable_name(candidate); !reason.empty()) {
      refusals_.add_value(row.place, row.under, shortened(candidate.name, limits_.max_name_bytes),
                          {ErrorCode::invalid_argument, std::move(reason), ""});
      repeatable = false;
      continue;
    }
    const element_type given = candidate.value.type();
    const bool null = given == element_type::NULL_VALUE;
    if (given == element_type::OBJECT || given == element_type::ARRAY || parser_.is_mark(candidate.value)) {
      refusals_.add_value(row.place, row.under, candidate.name, why_not(candidate.value, ValueType::float64));
      repeatable = false;
      continue;
    }
    if (null) continue;  // a layout remembers it as not stored
    const ValueType natural = given == element_type::STRING ? ValueType::string
                              : given == element_type::BOOL ? ValueType::boolean
                                                            : ValueType::float64;
    const ValueType type = rows_->type_of(candidate.name, natural);
    Cell unused = 0;
    if (!convert(candidate.value, type, unused)) {
      refusals_.add_value(row.place, row.under, candidate.name, why_not(candidate.value, type));
      repeatable = false;
      continue;
    }
    candidate.field = static_cast<std::uint32_t>(fields.size());
    fields.push_back({std::string(candidate.name), type});
  }
  if (fields.empty()) return refuse_if_nothing(row);

  ShapePtr shape = known_shape(fields);
  while (!shape) {
    auto made = rows_->make_shape(fields);
    if (made) {
      shape = *std::move(made);
      break;
    }
    // One field cannot be: the others still can.
    Error error = std::move(made).error();
    const auto bad = std::ranges::find(fields, error.field, &FieldDef::name);
    if (bad == fields.end()) {
      if (!error.field.empty()) {
        const std::string field = std::exchange(error.field, {});
        return refusals_.add_value(row.place, row.under, field, std::move(error));
      }
      error.field = "device";
      return refusals_.add(row.place, std::move(error));
    }
    const std::string name = bad->name;
    error.field.clear();
    refusals_.add_value(row.place, row.under, name, std::move(error));
    repeatable = false;
    fields.erase(bad);
    if (fields.empty()) return;
    std::uint32_t next = 0;
    for (Candidate& candidate : candidates) {
      if (candidate.field == RowLayout::kNotStored) continue;
      candidate.field = candidate.name == name ? RowLayout::kNotStored : next++;
    }
    shape = known_shape(fields);
  }

  cells_.assign(fields.size(), 0);
  absent_.clear();
  strings_.clear();
  for (const Candidate& candidate : candidates) {
    if (candidate.field != RowLayout::kNotStored) fill(candidate.field, fields[candidate.field].type, candidate.value);
  }
  add_row(shape, row);
  if (repeatable) remember(std::move(shape), candidates);
}

void RowReader::mark_twice(std::vector<Candidate>& candidates) {
  std::vector<std::uint32_t> order(candidates.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](std::uint32_t i) { return candidates[i].name; });
  for (std::size_t i = 1; i < order.size(); ++i)
    candidates[order[i]].again = candidates[order[i]].name == candidates[order[i - 1]].name;
}

std::string RowReader::unusable_name(const Candidate& candidate) const {
  if (candidate.again) return "stands twice: the first value counts";
  if (candidate.name.empty()) return "a metric needs a name";
  if (candidate.name.size() > limits_.max_name_bytes)
    return "the name is longer than " + std::to_string(limits_.max_name_bytes) + " bytes";
  if (has_control(candidate.name)) return "the name has a control character";
  return {};
}

ShapePtr RowReader::known_shape(const std::vector<FieldDef>& fields) const {
  for (const RowLayout& layout : rows_->layouts_)
    if (layout.shape->fields() == fields) return layout.shape;
  return nullptr;
}

void RowReader::remember(ShapePtr shape, const std::vector<Candidate>& candidates) {
  auto& layouts = rows_->layouts_;
  RowLayout layout{std::move(shape), {}};
  if (candidates.size() != layout.shape->field_count()) {
    layout.keys.reserve(candidates.size());
    for (const Candidate& candidate : candidates) layout.keys.push_back({std::string(candidate.name), candidate.field});
  }
  if (layouts.size() == DeviceRows::kMaxLayouts) layouts.pop_back();
  layouts.insert(layouts.begin(), std::move(layout));
}

Error RowReader::why_not(const Element& value, ValueType type) const {
  const auto invalid = [](std::string message) { return Error{ErrorCode::invalid_argument, std::move(message), {}}; };
  const element_type given = value.type();
  if (parser_.is_mark(value)) return invalid("the number is beyond the range of a double");
  if (given == element_type::OBJECT || given == element_type::ARRAY)
    return invalid(std::string("expected a number, a boolean or a string, got ").append(kind_of(value)));
  if (given == element_type::STRING && type == ValueType::string)
    return {ErrorCode::too_large, "the text is longer than " + std::to_string(limits_.max_string_bytes) + " bytes", {}};
  if (is_number(given) && (type == ValueType::int64 || type == ValueType::uint64)) {
    return invalid(std::string("this metric is ").append(to_string(type)) + ": " + number_text(value) +
                   " is no integer in its range");
  }
  std::string message = std::string("this metric is ").append(to_string(type)).append(", got ").append(kind_of(value));
  if (given == element_type::STRING) message += " (\"" + shortened(text_of(value), 32) + "\")";
  return invalid(std::move(message));
}

}  // namespace flux::wire::json
