#include "wire/control/control.h"

#include <algorithm>

#include "wire/control/packing.h"

namespace flux::wire::control {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::uint8_t kSeveral = 0;

void put(Packer& out, const std::vector<Tag>& tags) {
  out.number(tags.size());
  for (const Tag& tag : tags) {
    out.text(tag.key);
    out.text(tag.value);
  }
}

void put(Packer& out, const std::vector<std::string>& texts) {
  out.number(texts.size());
  for (const std::string& text : texts) out.text(text);
}

std::vector<Tag> get_tags(Unpacker& in) {
  std::vector<Tag> tags(in.count(2));
  for (Tag& tag : tags) {
    tag.key = in.text();
    tag.value = in.text();
  }
  return tags;
}

std::vector<std::string> get_texts(Unpacker& in) {
  std::vector<std::string> texts(in.count());
  for (std::string& text : texts) text = in.text();
  return texts;
}

void put(Packer& out, const ProfileChanged& record) {
  out.number(record.tenant.value);
  out.number(record.version);
  out.text(record.profile);
  out.text(record.name);
  out.number(record.metrics.size());
  for (const MetricRule& rule : record.metrics) {
    out.text(rule.name);
    out.byte(static_cast<std::uint8_t>(rule.type));
    out.text(rule.unit);
    out.optional_real(rule.min);
    out.optional_real(rule.max);
    out.boolean(rule.allow_non_finite);
  }
  out.boolean(record.silent_after.has_value());
  if (record.silent_after) out.integer(record.silent_after->ns);
  put(out, record.labels);
}

ProfileChanged get_profile_changed(Unpacker& in) {
  ProfileChanged record;
  record.tenant.value = in.number32();
  record.version = in.number();
  record.profile = in.text();
  record.name = in.text();
  record.metrics.resize(in.count(6));
  for (MetricRule& rule : record.metrics) {
    rule.name = in.text();
    const std::uint8_t type = in.byte();
    if (type < static_cast<std::uint8_t>(ValueType::float64) || type > static_cast<std::uint8_t>(ValueType::string))
      in.fail();
    else rule.type = static_cast<ValueType>(type);
    rule.unit = in.text();
    rule.min = in.optional_real();
    rule.max = in.optional_real();
    rule.allow_non_finite = in.boolean();
  }
  if (in.boolean()) record.silent_after = Duration{in.integer()};
  record.labels = get_tags(in);
  return record;
}

void put(Packer& out, const ProfileRemoved& record) {
  out.number(record.tenant.value);
  out.number(record.version);
  out.text(record.profile);
}

ProfileRemoved get_profile_removed(Unpacker& in) {
  ProfileRemoved record;
  record.tenant.value = in.number32();
  record.version = in.number();
  record.profile = in.text();
  return record;
}

void put(Packer& out, const DeviceChanged& record) {
  out.number(record.tenant.value);
  out.number(record.version);
  out.text(record.device);
  out.text(record.name);
  out.text(record.profile);
  put(out, record.labels);
  out.boolean(record.location.has_value());
  if (record.location) {
    out.real(record.location->latitude);
    out.real(record.location->longitude);
    out.text(record.location->place);
  }
  out.number(record.units.size());
  for (const auto& [metric, unit] : record.units) {
    out.text(metric);
    out.text(unit);
  }
}

DeviceChanged get_device_changed(Unpacker& in) {
  DeviceChanged record;
  record.tenant.value = in.number32();
  record.version = in.number();
  record.device = in.text();
  record.name = in.text();
  record.profile = in.text();
  record.labels = get_tags(in);
  if (in.boolean()) {
    Location& location = record.location.emplace();
    location.latitude = in.real();
    location.longitude = in.real();
    location.place = in.text();
  }
  record.units.resize(in.count(2));
  for (auto& [metric, unit] : record.units) {
    metric = in.text();
    unit = in.text();
  }
  return record;
}

void put(Packer& out, const DeviceRemoved& record) {
  out.number(record.tenant.value);
  out.number(record.version);
  out.text(record.device);
  out.integer(record.removed_at.ns);
}

DeviceRemoved get_device_removed(Unpacker& in) {
  DeviceRemoved record;
  record.tenant.value = in.number32();
  record.version = in.number();
  record.device = in.text();
  record.removed_at.ns = in.integer();
  return record;
}

void put(Packer& out, const EraseReadings& record) {
  out.number(record.tenant.value);
  out.number(record.version);
  out.text(record.database);
  out.text(record.retention_policy);
  put(out, record.measurements);
  put(out, record.devices);
  put(out, record.fields);
  put(out, record.tags);
  out.integer(record.from.ns);
  out.integer(record.to.ns);
}

EraseReadings get_erase_readings(Unpacker& in) {
  EraseReadings record;
  record.tenant.value = in.number32();
  record.version = in.number();
  record.database = in.text();
  record.retention_policy = in.text();
  record.measurements = get_texts(in);
  record.devices = get_texts(in);
  record.fields = get_texts(in);
  record.tags = get_tags(in);
  record.from.ns = in.integer();
  record.to.ns = in.integer();
  return record;
}

void put(Packer& out, const Tick& record) {
  out.integer(record.time.ns);
  out.integer(record.listening_since.ns);
}

Tick get_tick(Unpacker& in) {
  Tick record;
  record.time.ns = in.integer();
  record.listening_since.ns = in.integer();
  return record;
}

void put(Packer& out, const RulesChanged& record) {
  out.integer(record.silent_after.ns);
  out.integer(record.max_future.ns);
  out.integer(record.max_age.ns);
  out.number(record.max_string_bytes);
  out.number(record.dead_letters_per_record);
}

RulesChanged get_rules_changed(Unpacker& in) {
  RulesChanged record;
  record.silent_after.ns = in.integer();
  record.max_future.ns = in.integer();
  record.max_age.ns = in.integer();
  record.max_string_bytes = in.number32();
  record.dead_letters_per_record = in.number32();
  return record;
}

}  // namespace

std::string encode(const ControlRecord& record) {
  Packer out;
  out.byte(kFormat);
  out.byte(static_cast<std::uint8_t>(record.index() + 1));
  std::visit([&](const auto& held) { put(out, held); }, record);
  return out.take();
}

Result<ControlRecord> decode(std::string_view bytes) {
  Unpacker in(bytes);
  const std::uint8_t format = in.byte();
  const std::uint8_t kind = in.byte();
  if (!in.ok()) return fail(ErrorCode::corrupt, "a control record of fewer than two bytes");
  if (format != kFormat)
    return fail(ErrorCode::corrupt, "a control record of format " + std::to_string(format) + ", this program knows 1");
  ControlRecord record;
  switch (kind) {
    case 1: record = get_profile_changed(in); break;
    case 2: record = get_profile_removed(in); break;
    case 3: record = get_device_changed(in); break;
    case 4: record = get_device_removed(in); break;
    case 5: record = get_erase_readings(in); break;
    case 6: record = get_tick(in); break;
    case 7: record = get_rules_changed(in); break;
    default:
      return fail(ErrorCode::corrupt,
                  "a control record of kind " + std::to_string(kind) + ", this program knows 1 to 7");
  }
  if (!in.ok()) {
    return fail(ErrorCode::corrupt, "a control record (" + std::string(kind_name(record)) + ") broken at byte " +
                                        std::to_string(in.position()));
  }
  if (in.left() != 0) {
    return fail(ErrorCode::corrupt, "a control record (" + std::string(kind_name(record)) + ") with " +
                                        std::to_string(in.left()) + " bytes beyond its end");
  }
  return record;
}

std::string encode(std::span<const ControlRecord> records) {
  Packer out;
  out.byte(kFormat);
  out.byte(kSeveral);
  out.number(records.size());
  for (const ControlRecord& record : records) out.text(encode(record));
  return out.take();
}

Result<std::vector<ControlRecord>> decode_all(std::string_view bytes) {
  std::vector<ControlRecord> records;
  if (bytes.size() < 2 || static_cast<std::uint8_t>(bytes[0]) != kFormat ||
      static_cast<std::uint8_t>(bytes[1]) != kSeveral) {
    TRY(ControlRecord single, decode(bytes));
    records.push_back(std::move(single));
    return records;
  }
  Unpacker in(bytes.substr(2));
  const std::size_t count = in.count(3);
  records.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view text = in.text();
    if (!in.ok()) break;
    TRY(ControlRecord record, decode(text));
    records.push_back(std::move(record));
  }
  if (!in.ok() || in.left() != 0)
    return fail(ErrorCode::corrupt, "a list of control records broken at byte " + std::to_string(2 + in.position()));
  return records;
}

std::string_view kind_name(const ControlRecord& record) {
  static constexpr std::string_view kNames[] = {"profile_changed", "profile_removed", "device_changed",
                                                "device_removed",  "erase_readings",  "tick",
                                                "rules_changed"};
  return kNames[record.index()];
}

}  // namespace flux::wire::control
