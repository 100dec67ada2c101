#include "wire/json/telemetry_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "wire/json/json_check.h"

namespace flux::wire::json {
namespace {

namespace dom = simdjson::dom;
using Element = dom::element;
using dom::element_type;

// Buffers beyond this are given back after the message that needed them.
constexpr std::size_t kKeepBytes = 256 * 1024;
// simdjson counts levels a little differently from `check_json`, which has the word: it says where.
constexpr std::size_t kDepthSlack = 2;

std::string_view kind_of(const Element& value) {
  switch (value.type()) {
    case element_type::ARRAY: return "an array";
    case element_type::OBJECT: return "an object";
    case element_type::STRING: return "a string";
    case element_type::BOOL: return "a boolean";
    case element_type::NULL_VALUE: return "null";
    default: return "a number";
  }
}

bool is_number(element_type type) {
  return type == element_type::INT64 || type == element_type::UINT64 || type == element_type::DOUBLE;
}

std::string_view text_of(const Element& value) { return value.get_string().value_unsafe(); }

/// The number exactly, where `Integer` can hold it.
template <class Integer>
bool exact(const Element& value, Integer& out) {
  switch (value.type()) {
    case element_type::INT64: {
      const std::int64_t number = value.get_int64().value_unsafe();
      if (!std::in_range<Integer>(number)) return false;
      out = static_cast<Integer>(number);
      return true;
    }
    case element_type::UINT64: {
      const std::uint64_t number = value.get_uint64().value_unsafe();
      if (!std::in_range<Integer>(number)) return false;
      out = static_cast<Integer>(number);
      return true;
    }
    default: {
      const double number = value.get_double().value_unsafe();
      constexpr double kLow = static_cast<double>(std::numeric_limits<Integer>::min());
      constexpr double kBeyond = std::is_signed_v<Integer> ? 0x1p63 : 0x1p64;
      if (!(number >= kLow && number < kBeyond) || std::trunc(number) != number) return false;
      out = static_cast<Integer>(number);
      return true;
    }
  }
}

/// A path is only written down when something is refused.
struct Place {
  std::string_view list;  // "readings" or empty
  bool in_list = false;
  std::uint32_t index = 0;

  [[nodiscard]] std::string path(std::string_view rest, std::string_view name = {}) const {
    std::string path;
    if (in_list) path.append(list).append("[").append(std::to_string(index)).append("]");
    if (!rest.empty()) {
      if (!path.empty()) path += '.';
      path += rest;
    }
    if (!name.empty()) {
      if (!path.empty()) path += '.';
      path += name;
    }
    return path;
  }
};

bool has_control(std::string_view name) {
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && i + 1 < name.size() && static_cast<unsigned char>(name[i + 1]) < 0xA0) return true;  // U+0080…9F
  }
  return false;
}

/// Only of the first bytes, and never cut inside a character.
std::string shortened(std::string_view text, std::size_t limit = 64) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return std::string(text.substr(0, limit)) + "…";
}

}  // namespace

struct TelemetryReader::Impl {
  explicit Impl(TelemetryLimits the_limits) : limits(the_limits) {
    std::random_device random;
    constexpr char kDigits[] = "0123456789abcdef";
    for (char& c : out_of_range_mark) c = kDigits[random() % 16];
  }

  // --- one message ---

  Result<> read(std::string_view text, TelemetryForm message_form, TelemetrySink& to, TelemetryOutcome& out) {
    outcome = &out;
    sink = &to;
    form = message_form;
    rows = nullptr;
    have_device = false;
    patched = false;
    TRY(const Element root, parse(text));
    DO(message(root));
    return {};
  }

  Result<Element> parse(std::string_view text) {
    if (text.empty()) return fail(ErrorCode::invalid_argument, "the payload is empty: expected JSON");
    Element root;
    const auto error = load(text).get(root);
    if (!error) [[likely]] {
      // simdjson lets a low surrogate without its high one pass; such text is not Unicode and must not be stored.
      if (!lone_surrogate(text)) return root;
    } else if (error == simdjson::MEMALLOC || error == simdjson::CAPACITY) {
      return fail(ErrorCode::too_large, "the payload is too large to parse");
    }
    std::vector<WideNumber> wide;
    if (const auto fault = check_json(text, limits.max_depth, &wide)) {
      return fail(ErrorCode::invalid_argument,
                  "not JSON at byte offset " + std::to_string(fault->offset) + ": " + fault->message);
    }
    if (!error) return root;
    if (wide.empty())
      return fail(ErrorCode::invalid_argument, std::string("not JSON: ") + simdjson::error_message(error));
    // Grammatical, but with numbers that simdjson does not take. They are written in a way it takes, so that only the
    // values concerned are refused: integers as doubles, others as a text that nobody else can know.
    std::string again;
    std::size_t at = 0;
    for (const WideNumber& number : wide) {
      again.append(text.substr(at, number.offset - at));
      at = number.offset + number.length;
      if (number.integer) again.append(text.substr(number.offset, number.length)).append("e0");
      else again.append(1, '"').append(std::string_view(out_of_range_mark, sizeof out_of_range_mark)).append(1, '"');
    }
    again.append(text.substr(at));
    patched = true;
    if (const auto second = load(again).get(root))
      return fail(ErrorCode::invalid_argument, std::string("not JSON: ") + simdjson::error_message(second));
    return root;
  }

  simdjson::simdjson_result<Element> load(std::string_view text) {
    if (buffer.size() < text.size() + simdjson::SIMDJSON_PADDING)
      buffer.resize(text.size() + simdjson::SIMDJSON_PADDING + text.size() / 2);
    std::memcpy(buffer.data(), text.data(), text.size());
    std::memset(buffer.data() + text.size(), 0, simdjson::SIMDJSON_PADDING);
    if (parser.capacity() < text.size() || parser.max_depth() != limits.max_depth + kDepthSlack) {
      if (const auto error =
              parser.allocate(std::max<std::size_t>(text.size() * 3 / 2, 4096), limits.max_depth + kDepthSlack))
        return error;
    }
    return parser.parse(buffer.data(), text.size(), false);
  }

  static bool lone_surrogate(std::string_view text) {
    for (const char *at = text.data(), *end = at + text.size();;) {
      at = static_cast<const char*>(std::memchr(at, '\\', static_cast<std::size_t>(end - at)));
      if (at == nullptr) return false;
      if (end - at >= 3 && at[1] == 'u' && (at[2] == 'd' || at[2] == 'D')) return true;  // worth the slow check
      at += 2;
      if (at >= end) return false;
    }
  }

  void release() {
    if (buffer.size() <= kKeepBytes) return;
    buffer = {};
    parser = dom::parser();
  }

  Result<> message(const Element& root) {
    switch (root.type()) {
      case element_type::ARRAY: {
        const dom::array items = root.get_array().value_unsafe();
        return list(items, {.list = "", .in_list = true}, false);
      }
      case element_type::OBJECT: return outermost(root.get_object().value_unsafe());
      default:
        return fail(ErrorCode::invalid_argument,
                    std::string("expected an object or an array of objects, got ").append(kind_of(root)));
    }
  }

  Result<> list(const dom::array& items, Place place, bool device_fixed) {
    std::size_t count = items.size();
    if (count == 0xFFFFFF) {  // simdjson stops counting there
      count = 0;
      for ([[maybe_unused]] const Element item : items) ++count;
    }
    const std::string name = place.list.empty() ? "the array" : std::string(place.list);
    if (count == 0) return fail(ErrorCode::invalid_argument, name + " is empty", std::string(place.list));
    if (count > limits.max_rows) {
      return fail(ErrorCode::too_large,
                  name + " has " + std::to_string(count) + " items, at most " + std::to_string(limits.max_rows) +
                      " are taken in one message",
                  std::string(place.list));
    }
    for (const Element item : items) {
      if (item.type() == element_type::OBJECT) [[likely]] {
        reading(item.get_object().value_unsafe(), place, device_fixed);
      } else {
        refuse(place, "", "", std::string("expected an object, got ").append(kind_of(item)));
      }
      ++place.index;
    }
    return {};
  }

  /// The names of an object beside its values.
  struct Envelope {
    Element device, time, metrics, readings;
    bool has_device = false, has_time = false, has_metrics = false, has_readings = false;
    std::string_view unknown;  // the first name that is none of these
    std::string_view twice;
    bool has_unknown = false;
  };

  static void take(bool& has, Element& slot, const dom::key_value_pair& pair, Envelope& envelope) {
    if (has) envelope.twice = pair.key;
    else slot = pair.value;
    has = true;
  }

  static Envelope envelope_of(const dom::object& object) {
    Envelope found;
    for (const dom::key_value_pair pair : object) {
      if (pair.key == "metrics") take(found.has_metrics, found.metrics, pair, found);
      else if (pair.key == "time") take(found.has_time, found.time, pair, found);
      else if (pair.key == "device") take(found.has_device, found.device, pair, found);
      else if (pair.key == "readings") take(found.has_readings, found.readings, pair, found);
      else if (!found.has_unknown) {
        found.has_unknown = true;
        found.unknown = pair.key;
      }
    }
    return found;
  }

  [[nodiscard]] bool is_flat(const Envelope& envelope) const {
    return form == TelemetryForm::any && !envelope.has_metrics && !envelope.has_readings;
  }

  Result<> outermost(const dom::object& object) {
    const Envelope envelope = envelope_of(object);
    if (!envelope.has_readings) {
      reading_of(object, envelope, {}, false);
      return {};
    }
    const auto wrong = [](std::string message, std::string_view field) {
      return fail(ErrorCode::invalid_argument, std::move(message), std::string(field));
    };
    if (!envelope.twice.empty()) return wrong("stands twice", envelope.twice);
    if (envelope.has_metrics) return wrong("stands beside readings: expected one of the two", "metrics");
    if (envelope.has_time) return wrong("stands beside readings: expected it in each of them", "time");
    if (envelope.has_unknown) return wrong("is not known here: expected device and readings", envelope.unknown);
    if (envelope.readings.type() != element_type::ARRAY)
      return wrong(std::string("expected an array, got ").append(kind_of(envelope.readings)), "readings");
    if (auto selected = select_device(envelope); !selected) {
      refuse({}, selected.error());
      return {};
    }
    return list(envelope.readings.get_array().value_unsafe(), {.list = "readings", .in_list = true}, true);
  }

  // --- one reading object ---

  void reading(const dom::object& object, const Place& place, bool device_fixed) {
    reading_of(object, envelope_of(object), place, device_fixed);
  }

  void reading_of(const dom::object& object, const Envelope& envelope, const Place& place, bool device_fixed) {
    const bool flat = is_flat(envelope);
    if (!envelope.twice.empty()) [[unlikely]]
      return refuse(place, envelope.twice, "", "stands twice");
    if (!flat) {
      if (!envelope.has_metrics) [[unlikely]] {
        if (envelope.has_readings)
          return refuse(place, "readings", "", "stands only in the outermost object: expected metrics");
        return refuse(place, "metrics", "", "is missing: expected an object of names and values");
      }
      if (envelope.has_unknown || envelope.has_readings) [[unlikely]] {
        const std::string_view name = envelope.has_unknown ? envelope.unknown : "readings";
        return refuse(place, shortened(name), "", "is not known here: expected device, time and metrics");
      }
      if (envelope.metrics.type() != element_type::OBJECT) [[unlikely]]
        return refuse(place, "metrics", "", std::string("expected an object, got ").append(kind_of(envelope.metrics)));
    }
    if (device_fixed) {
      if (envelope.has_device) [[unlikely]]
        return refuse(place, "device", "", "stands already beside readings");
    } else if (auto selected = select_device(envelope); !selected) [[unlikely]] {
      return refuse(place, std::move(selected).error());
    }

    Time time{};
    bool has_time = envelope.has_time && envelope.time.type() != element_type::NULL_VALUE;
    if (has_time) {
      auto parsed = time_of(envelope.time);
      if (!parsed) [[unlikely]] {
        Error error = std::move(parsed).error();
        error.field = "time";
        return refuse(place, std::move(error));
      }
      time = *parsed;
    }
    if (flat) metrics_of(object, true, place, "", has_time, time);
    else metrics_of(envelope.metrics.get_object().value_unsafe(), false, place, "metrics", has_time, time);
  }

  Result<> select_device(const Envelope& envelope) {
    std::string_view name;
    if (envelope.has_device) {
      if (envelope.device.type() != element_type::STRING || is_mark(envelope.device)) {
        forget_device();
        return fail(ErrorCode::invalid_argument,
                    std::string("expected a string, got ").append(kind_of(envelope.device)), "device");
      }
      name = text_of(envelope.device);
      if (name.empty()) {
        forget_device();
        return fail(ErrorCode::invalid_argument, "must not be empty", "device");
      }
    }
    if (have_device && name == device_name) return {};
    forget_device();
    auto found = sink->device(name);
    if (!found) {
      Error error = std::move(found).error();
      if (error.field.empty()) error.field = "device";
      return std::unexpected(std::move(error));
    }
    rows = *found;
    device_name = name;
    have_device = true;
    return {};
  }

  void forget_device() {
    rows = nullptr;
    have_device = false;
  }

  [[nodiscard]] bool is_mark(const Element& value) const {
    return patched && value.type() == element_type::STRING &&
           text_of(value) == std::string_view(out_of_range_mark, sizeof out_of_range_mark);
  }

  Result<Time> time_of(const Element& value) const {
    switch (value.type()) {
      case element_type::STRING:
        if (is_mark(value)) break;
        return parse_rfc3339(text_of(value));
      case element_type::INT64: return time_from_unix(value.get_int64().value_unsafe());
      case element_type::DOUBLE: return time_from_unix(value.get_double().value_unsafe());
      case element_type::UINT64: break;
      default:
        return fail(
            ErrorCode::invalid_argument,
            std::string("expected RFC 3339 text or a Unix number (s, ms, µs or ns), got ").append(kind_of(value)));
    }
    return fail(ErrorCode::invalid_argument, "expected a time between 1677-09-22 and 2262-04-11");
  }

  // --- the values of one row ---

  void metrics_of(const dom::object& metrics, bool flat, const Place& place, std::string_view under, bool has_time,
                  Time time) {
    // Layouts are tried by their names' bytes; most devices match the first.
    auto& layouts = rows->layouts_;
    for (std::size_t i = 0; i < layouts.size(); ++i) {
      if (!matches(layouts[i], metrics, flat)) continue;
      if (i != 0)
        std::rotate(layouts.begin(), layouts.begin() + static_cast<std::ptrdiff_t>(i),
                    layouts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      return add_row(layouts.front().shape, metrics, flat, place, under, has_time, time);
    }
    learn(metrics, flat, place, under, has_time, time);
  }

  static bool is_reserved(bool flat, std::string_view name) { return flat && (name == "time" || name == "device"); }

  /// Fills `cells` and `absent` when `metrics` has exactly the names of `layout` in its order.
  bool matches(const RowLayout& layout, const dom::object& metrics, bool flat) {
    const auto& fields = layout.shape->fields();
    cells.resize(fields.size());
    absent.clear();
    strings.clear();
    std::size_t at = 0;
    if (layout.keys.empty()) {
      for (const dom::key_value_pair pair : metrics) {
        if (is_reserved(flat, pair.key)) continue;
        if (at == fields.size() || pair.key != fields[at].name) return false;
        fill(at, fields[at].type, pair.value);
        ++at;
      }
      return at == fields.size();
    }
    for (const dom::key_value_pair pair : metrics) {
      if (is_reserved(flat, pair.key)) continue;
      if (at == layout.keys.size() || pair.key != layout.keys[at].name) return false;
      const std::uint32_t field = layout.keys[at].field;
      if (field != RowLayout::kNotStored) fill(field, fields[field].type, pair.value);
      else if (pair.value.type() != element_type::NULL_VALUE) return false;
      ++at;
    }
    return at == layout.keys.size();
  }

  void fill(std::size_t field, ValueType type, const Element& value) {
    if (convert(value, type, cells[field])) [[likely]] {
      if (type == ValueType::string) strings.push_back({static_cast<std::uint32_t>(field), text_of(value)});
      return;
    }
    cells[field] = 0;
    absent.push_back({static_cast<std::uint32_t>(field), value});
  }

  /// False when the value is null or cannot be of `type`. The cell of a string is set when the row is added.
  bool convert(const Element& value, ValueType type, Cell& cell) const {
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
        return given == element_type::STRING && text_of(value).size() <= limits.max_string_bytes && !is_mark(value);
    }
    return false;
  }

  void add_row(const ShapePtr& shape, const dom::object& metrics, bool flat, const Place& place, std::string_view under,
               bool has_time, Time time) {
    const std::size_t fields = shape->field_count();
    if (!absent.empty()) [[unlikely]] {
      for (const Absent& missing : absent) {
        if (missing.value.type() == element_type::NULL_VALUE) continue;
        const FieldDef& field = shape->fields()[missing.field];
        refuse_value(place, under, field.name, why_not(missing.value, field.type));
      }
      if (absent.size() == fields) return refuse_if_nothing(metrics, flat, place, under);
    }
    BatchBuilder& builder = rows->builder();
    for (const Text& text : strings) cells[text.field] = builder.add_string(text.value);
    const std::span<Cell> row = builder.add_row(shape, has_time ? time : rows->next_time());
    std::memcpy(row.data(), cells.data(), fields * sizeof(Cell));
    for (const Absent& missing : absent) builder.set_missing(missing.field);
    ++outcome->rows;
    outcome->readings += static_cast<std::uint32_t>(fields - absent.size());
  }

  /// A reading in which every value is null says nothing and is refused as such; refused values were already reported.
  void refuse_if_nothing(const dom::object& metrics, bool flat, const Place& place, std::string_view under) {
    bool names = false;
    for (const dom::key_value_pair pair : metrics) {
      if (is_reserved(flat, pair.key)) continue;
      names = true;
      if (pair.value.type() != element_type::NULL_VALUE) return;
    }
    refuse(place, under, "",
           names ? "every value is null: expected at least one" : "has no values: expected at least one");
  }

  // --- rows that no layout fits ---

  struct Candidate {
    std::string_view name;
    Element value;
    bool again = false;  // the name stood before
    std::uint32_t field = RowLayout::kNotStored;
  };

  void learn(const dom::object& metrics, bool flat, const Place& place, std::string_view under, bool has_time,
             Time time) {
    std::vector<Candidate> candidates;
    bool repeatable = true;  // the names can be a layout: none was refused
    for (const dom::key_value_pair pair : metrics) {
      if (is_reserved(flat, pair.key)) continue;
      if (candidates.size() == limits.max_metrics) {
        refuse(place, under, "",
               "has more than " + std::to_string(limits.max_metrics) + " values: the limit for one reading",
               ErrorCode::too_large);
        return;
      }
      candidates.push_back({pair.key, pair.value});
    }
    mark_twice(candidates);

    std::vector<FieldDef> fields;
    for (Candidate& candidate : candidates) {
      if (auto reason = unusable_name(candidate); !reason.empty()) {
        refuse_value(place, under, shortened(candidate.name, limits.max_name_bytes),
                     {ErrorCode::invalid_argument, std::move(reason), ""});
        repeatable = false;
        continue;
      }
      const element_type given = candidate.value.type();
      const bool null = given == element_type::NULL_VALUE;
      if (given == element_type::OBJECT || given == element_type::ARRAY || is_mark(candidate.value)) {
        refuse_value(place, under, candidate.name, why_not(candidate.value, ValueType::float64));
        repeatable = false;
        continue;
      }
      if (null) continue;  // a layout remembers it as not stored
      const ValueType natural = given == element_type::STRING ? ValueType::string
                                : given == element_type::BOOL ? ValueType::boolean
                                                              : ValueType::float64;
      const ValueType type = rows->type_of(candidate.name, natural);
      Cell unused = 0;
      if (!convert(candidate.value, type, unused)) {
        refuse_value(place, under, candidate.name, why_not(candidate.value, type));
        repeatable = false;
        continue;
      }
      candidate.field = static_cast<std::uint32_t>(fields.size());
      fields.push_back({std::string(candidate.name), type});
    }
    if (fields.empty()) return refuse_if_nothing(metrics, flat, place, under);

    ShapePtr shape = known_shape(fields);
    while (!shape) {
      auto made = rows->make_shape(fields);
      if (made) {
        shape = *std::move(made);
        break;
      }
      // One field cannot be: the others still can.
      Error error = std::move(made).error();
      const auto bad = std::ranges::find(fields, error.field, &FieldDef::name);
      if (bad == fields.end()) {
        if (!error.field.empty()) return refuse(place, std::move(error), under);
        error.field = "device";
        return refuse(place, std::move(error));
      }
      const std::string name = bad->name;
      error.field.clear();
      refuse_value(place, under, name, std::move(error));
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

    cells.assign(fields.size(), 0);
    absent.clear();
    strings.clear();
    for (const Candidate& candidate : candidates) {
      if (candidate.field != RowLayout::kNotStored)
        fill(candidate.field, fields[candidate.field].type, candidate.value);
    }
    add_row(shape, metrics, flat, place, under, has_time, time);
    if (repeatable) remember(std::move(shape), candidates);
  }

  static void mark_twice(std::vector<Candidate>& candidates) {
    std::vector<std::uint32_t> order(candidates.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::stable_sort(order, {}, [&](std::uint32_t i) { return candidates[i].name; });
    for (std::size_t i = 1; i < order.size(); ++i)
      candidates[order[i]].again = candidates[order[i]].name == candidates[order[i - 1]].name;
  }

  std::string unusable_name(const Candidate& candidate) const {
    if (candidate.again) return "stands twice: the first value counts";
    if (candidate.name.empty()) return "a metric needs a name";
    if (candidate.name.size() > limits.max_name_bytes)
      return "the name is longer than " + std::to_string(limits.max_name_bytes) + " bytes";
    if (has_control(candidate.name)) return "the name has a control character";
    return {};
  }

  [[nodiscard]] ShapePtr known_shape(const std::vector<FieldDef>& fields) const {
    for (const RowLayout& layout : rows->layouts_)
      if (layout.shape->fields() == fields) return layout.shape;
    return nullptr;
  }

  void remember(ShapePtr shape, const std::vector<Candidate>& candidates) {
    auto& layouts = rows->layouts_;
    RowLayout layout{std::move(shape), {}};
    if (candidates.size() != layout.shape->field_count()) {
      layout.keys.reserve(candidates.size());
      for (const Candidate& candidate : candidates)
        layout.keys.push_back({std::string(candidate.name), candidate.field});
    }
    if (layouts.size() == DeviceRows::kMaxLayouts) layouts.pop_back();
    layouts.insert(layouts.begin(), std::move(layout));
  }

  // --- refusals ---

  [[nodiscard]] Error why_not(const Element& value, ValueType type) const {
    const auto invalid = [](std::string message) { return Error{ErrorCode::invalid_argument, std::move(message), {}}; };
    const element_type given = value.type();
    if (is_mark(value)) return invalid("the number is beyond the range of a double");
    if (given == element_type::OBJECT || given == element_type::ARRAY)
      return invalid(std::string("expected a number, a boolean or a string, got ").append(kind_of(value)));
    if (given == element_type::STRING && type == ValueType::string)
      return {
          ErrorCode::too_large, "the text is longer than " + std::to_string(limits.max_string_bytes) + " bytes", {}};
    if (is_number(given) && (type == ValueType::int64 || type == ValueType::uint64)) {
      return invalid(std::string("this metric is ").append(to_string(type)) + ": " + number_text(value) +
                     " is no integer in its range");
    }
    std::string message =
        std::string("this metric is ").append(to_string(type)).append(", got ").append(kind_of(value));
    if (given == element_type::STRING) message += " (\"" + shortened(text_of(value), 32) + "\")";
    return invalid(std::move(message));
  }

  static std::string number_text(const Element& value) {
    switch (value.type()) {
      case element_type::INT64: return std::to_string(value.get_int64().value_unsafe());
      case element_type::UINT64: return std::to_string(value.get_uint64().value_unsafe());
      default: {
        char text[32];
        const auto end = std::to_chars(text, text + sizeof text, value.get_double().value_unsafe()).ptr;
        return {text, end};
      }
    }
  }

  void refuse(const Place& place, std::string_view field, std::string_view name, std::string message,
              ErrorCode code = ErrorCode::invalid_argument) {
    if (!count_refusal()) return;
    outcome->refusals.push_back({place.index, {code, std::move(message), place.path(field, name)}});
  }

  void refuse(const Place& place, Error error, std::string_view under = {}) {
    if (!count_refusal()) return;
    error.field = place.path(under.empty() ? std::string_view(error.field) : under,
                             under.empty() ? std::string_view() : std::string_view(error.field));
    outcome->refusals.push_back({place.index, std::move(error)});
  }

  void refuse_value(const Place& place, std::string_view under, std::string_view name, Error error) {
    if (!count_refusal()) return;
    error.field = place.path(under, name);
    outcome->refusals.push_back({place.index, std::move(error)});
  }

  bool count_refusal() {
    ++outcome->refused;
    return outcome->refusals.size() < limits.max_refusals;
  }

  struct Absent {
    std::uint32_t field;
    Element value;
  };
  struct Text {
    std::uint32_t field;
    std::string_view value;
  };

  TelemetryLimits limits;
  dom::parser parser;
  std::vector<char> buffer;
  char out_of_range_mark[32];
  bool patched = false;

  TelemetrySink* sink = nullptr;
  TelemetryOutcome* outcome = nullptr;
  TelemetryForm form = TelemetryForm::any;
  DeviceRows* rows = nullptr;
  std::string_view device_name;
  bool have_device = false;

  std::vector<Cell> cells;     // of the row at hand
  std::vector<Absent> absent;  // its fields without a value, and what stood there
  std::vector<Text> strings;   // its texts, copied into the heap when the row is added
};

TelemetryReader::TelemetryReader(TelemetryLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
TelemetryReader::~TelemetryReader() = default;

Result<> TelemetryReader::read(std::string_view text, TelemetryForm form, TelemetrySink& sink,
                               TelemetryOutcome& outcome) {
  outcome.clear();
  auto result = impl_->read(text, form, sink, outcome);
  impl_->release();
  return result;
}

}  // namespace flux::wire::json
