#include "wire/json/telemetry_reader.h"

#include <optional>

#include "wire/json/lenient_parser.h"
#include "wire/json/refusals.h"
#include "wire/json/row_reader.h"

namespace flux::wire::json {

struct TelemetryReader::Impl {
  explicit Impl(TelemetryLimits the_limits)
      : limits(the_limits), parser(limits.max_depth), refusals(limits.max_refusals), row(limits, parser, refusals) {}

  // --- one message ---

  Result<> read(std::string_view text, TelemetryForm message_form, TelemetrySink& to, TelemetryOutcome& out) {
    outcome = &out;
    refusals.begin(out);
    sink = &to;
    form = message_form;
    forget_device();
    TRY(const Element root, parser.parse(text));
    DO(message(root));
    return {};
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
        refusals.add(place, "", std::string("expected an object, got ").append(kind_of(item)));
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
      refusals.add({}, selected.error());
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
      return refusals.add(place, envelope.twice, "stands twice");
    if (!flat) {
      if (!envelope.has_metrics) [[unlikely]] {
        if (envelope.has_readings)
          return refusals.add(place, "readings", "stands only in the outermost object: expected metrics");
        return refusals.add(place, "metrics", "is missing: expected an object of names and values");
      }
      if (envelope.has_unknown || envelope.has_readings) [[unlikely]] {
        const std::string_view name = envelope.has_unknown ? envelope.unknown : "readings";
        return refusals.add(place, shortened(name), "is not known here: expected device, time and metrics");
      }
      if (envelope.metrics.type() != element_type::OBJECT) [[unlikely]]
        return refusals.add(place, "metrics",
                            std::string("expected an object, got ").append(kind_of(envelope.metrics)));
    }
    if (device_fixed) {
      if (envelope.has_device) [[unlikely]]
        return refusals.add(place, "device", "stands already beside readings");
    } else if (auto selected = select_device(envelope); !selected) [[unlikely]] {
      return refusals.add(place, std::move(selected).error());
    }

    std::optional<Time> time;
    if (envelope.has_time && envelope.time.type() != element_type::NULL_VALUE) {
      auto parsed = time_of(envelope.time);
      if (!parsed) [[unlikely]] {
        Error error = std::move(parsed).error();
        error.field = "time";
        return refusals.add(place, std::move(error));
      }
      time = *parsed;
    }
    if (flat)
      return row.read({.metrics = object, .flat = true, .place = place, .under = "", .time = time}, *rows, *outcome);
    const dom::object metrics = envelope.metrics.get_object().value_unsafe();
    row.read({.metrics = metrics, .flat = false, .place = place, .under = "metrics", .time = time}, *rows, *outcome);
  }

  Result<> select_device(const Envelope& envelope) {
    std::string_view name;
    if (envelope.has_device) {
      if (envelope.device.type() != element_type::STRING || parser.is_mark(envelope.device)) {
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

  Result<Time> time_of(const Element& value) const {
    switch (value.type()) {
      case element_type::STRING:
        if (parser.is_mark(value)) break;
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

  TelemetryLimits limits;
  LenientParser parser;
  Refusals refusals;
  RowReader row;

  TelemetrySink* sink = nullptr;
  TelemetryOutcome* outcome = nullptr;
  TelemetryForm form = TelemetryForm::any;
  DeviceRows* rows = nullptr;
  std::string_view device_name;
  bool have_device = false;
};

TelemetryReader::TelemetryReader(TelemetryLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
TelemetryReader::~TelemetryReader() = default;

Result<> TelemetryReader::read(std::string_view text, TelemetryForm form, TelemetrySink& sink,
                               TelemetryOutcome& outcome) {
  outcome.clear();
  auto result = impl_->read(text, form, sink, outcome);
  impl_->parser.release();
  return result;
}

}  // namespace flux::wire::json
