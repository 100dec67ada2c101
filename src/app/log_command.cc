#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "app/client/terminal.h"
#include "app/commands.h"
#include "app/data_folder.h"
#include "bus/embedded/embedded_bus.h"
#include "config/nearest.h"
#include "observe/json.h"
#include "observe/metrics.h"
#include "observe/printable.h"
#include "wire/control/control.h"
#include "wire/processed/processed_codec.h"

namespace flux::app {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;

using observe::append_json_string;

/// One JSON object, member by member.
class Line {
 public:
  void key(std::string_view name) {
    text_ += text_.empty() ? '{' : ',';
    append_json_string(text_, name);
    text_ += ':';
  }
  void string(std::string_view name, std::string_view value) {
    key(name);
    append_json_string(text_, value);
  }
  void number(std::string_view name, std::uint64_t value) {
    key(name);
    text_ += std::to_string(value);
  }
  void time(std::string_view name, Time value) {
    char text[40];
    string(name, {text, format_rfc3339(value, text)});
  }
  void json(std::string_view name, std::string_view value) {
    key(name);
    text_ += value;
  }
  /// The object so far, closed.
  [[nodiscard]] std::string take() {
    std::string whole = text_.empty() ? "{" : std::move(text_);
    text_.clear();
    return whole += '}';
  }

 private:
  std::string text_;
};

std::string json_of(const Value& value) {
  std::string text;
  std::visit(
      [&]<class T>(const T& held) {
        if constexpr (std::is_same_v<T, double>) observe::append_json_number(text, held);
        else if constexpr (std::is_same_v<T, bool>) text = held ? "true" : "false";
        else if constexpr (std::is_same_v<T, std::string>) append_json_string(text, held);
        else text = std::to_string(held);
      },
      value);
  return text;
}

std::string json_of(const std::vector<Tag>& tags) {
  Line line;
  for (const Tag& tag : tags) line.string(tag.key, tag.value);
  return line.take();
}

class Printer {
 public:
  explicit Printer(const LogOptions& options) : options_(options) {}

  void print(PartitionId partition, const bus::Record& record) {
    partition_ = partition;
    record_ = &record;
    switch (record.kind) {
      case bus::RecordKind::telemetry: print_rows(*record.batch, nullptr); break;
      case bus::RecordKind::processed: print_processed(); break;
      case bus::RecordKind::control: print_control(); break;
      case bus::RecordKind::event: print_event(); break;
    }
  }
  void print_damage(PartitionId partition, Offset from, std::uint64_t records, const Error& error) {
    std::fprintf(stderr, "fluxgate: partition %u: %llu records from %llu on are damaged: %s\n",
                 static_cast<unsigned>(partition.value), static_cast<unsigned long long>(records),
                 static_cast<unsigned long long>(from.value), error.message.c_str());
    damaged_ = true;
  }
  [[nodiscard]] bool damaged() const { return damaged_; }

 private:
  [[nodiscard]] bool wanted(const std::string& device) const {
    return options_.devices.empty() || std::ranges::find(options_.devices, device) != options_.devices.end();
  }
  [[nodiscard]] Line begin() const {
    Line line;
    line.number("partition", partition_.value);
    line.number("offset", record_->offset.value);
    if (record_->origin) {
      Line source;
      source.number("partition", record_->origin->input.partition.value);
      source.number("offset", record_->origin->input.offset.value);
      source.number("part", record_->origin->ordinal);
      line.json("source", source.take());
    }
    return line;
  }
  void put(Line line) {
    const std::string text = line.take() + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
  }

  void print_rows(const TelemetryBatch& batch, const std::vector<wire::DeviceContextPtr>* contexts) {
    for (std::size_t g = 0; g < batch.groups().size(); ++g) {
      const auto& group = batch.groups()[g];
      if (!wanted(group.shape().device())) continue;
      for (std::size_t row = 0; row < group.rows(); ++row)
        print_row(batch, group, row, contexts != nullptr ? (*contexts)[g].get() : nullptr);
    }
  }

  void print_row(const TelemetryBatch& batch, const TelemetryBatch::Group& group, std::size_t row,
                 const wire::DeviceContext* context) {
    const ShapeKey& key = group.shape().key();
    Line line = begin();
    line.number("tenant", key.tenant.value);
    line.string("database", key.database);
    line.string("measurement", key.measurement);
    line.string("device", key.device);
    if (!key.tags.empty()) line.json("tags", json_of(key.tags));
    if (context != nullptr) {
      if (!context->name.empty()) line.string("name", context->name);
      if (!context->profile.empty()) line.string("profile", context->profile);
      line.json("labels", json_of(context->labels));
      if (context->location) {
        Line place;
        place.json("lat", json_of(context->location->latitude));
        place.json("lon", json_of(context->location->longitude));
        if (!context->location->place.empty()) place.string("place", context->location->place);
        line.json("location", place.take());
      }
    }
    line.time("time", Time{batch.times(group)[row]});
    line.time("received_at", batch.received_at());
    Line metrics;
    for (std::size_t field = 0; field < group.shape().field_count(); ++field) {
      if (!batch.has(group, field, row)) continue;
      const std::string& name = group.shape().fields()[field].name;
      Line metric;
      metric.json("value", json_of(batch.value(group, field, row)));
      if (context != nullptr && !context->unit_of(name).empty()) metric.string("unit", context->unit_of(name));
      metrics.json(name, metric.take());
    }
    line.json("metrics", metrics.take());
    put(std::move(line));
  }

  void print_processed() {
    const auto processed = wire::processed::decode(*record_->payload);
    if (!processed) return print_damage(partition_, record_->offset, 1, processed.error());
    print_rows(*processed->batch, &processed->contexts);
  }

  void print_event() {
    if (!options_.devices.empty()) {
      const auto event = nlohmann::json::parse(*record_->payload, nullptr, false);
      if (!event.is_object() || !wanted(event.value("device", ""))) return;
    }
    Line line = begin();
    line.json("event", observe::printable_json(*record_->payload));
    put(std::move(line));
  }

  void print_control() {
    if (!options_.devices.empty()) return;
    const auto changes = wire::control::decode_all(*record_->payload);
    if (!changes) return print_damage(partition_, record_->offset, 1, changes.error());
    std::string kinds;
    for (const auto& change : *changes) {
      kinds += kinds.empty() ? "" : ",";
      append_json_string(kinds, wire::control::kind_name(change));
    }
    Line line = begin();
    line.json("control", "[" + kinds + "]");
    put(std::move(line));
  }

  const LogOptions& options_;
  PartitionId partition_;
  const bus::Record* record_ = nullptr;
  bool damaged_ = false;
};

Result<> print_partition(bus::Bus& bus, bus::Topic topic, PartitionId partition, Printer& printer) {
  TRY(const auto reader, bus.reader(topic, partition, {}));
  for (;;) {
    const Offset at = reader->position();
    auto records = reader->read(kReadBytes);
    if (!records) {
      if (records.error().code != ErrorCode::corrupt) return std::unexpected(std::move(records).error());
      TRY(const std::uint64_t lost, reader->skip_damage());
      printer.print_damage(partition, at, lost, records.error());
      continue;
    }
    if (records->empty() || std::ferror(stdout) != 0) return {};
    for (const bus::Record& record : *records) printer.print(partition, record);
  }
}

Result<bus::Topic> wanted_topic(const std::string& name) {
  if (const auto topic = bus::topic_named(name)) return *topic;
  std::vector<std::string> names;
  std::string list;
  for (const bus::Topic topic : bus::kTopics) {
    names.emplace_back(bus::to_string(topic));
    list.append(list.empty() ? "" : ", ").append(names.back());
  }
  const std::string guess = config::nearest(name, names);
  return fail(ErrorCode::invalid_argument, "there is no topic '" + name + "'" +
                                               (guess.empty() ? "" : "; did you mean '" + guess + "'?") +
                                               " (there are " + list + ")");
}

/// Whether all of it was whole.
Result<bool> print(const LogOptions& options) {
  TRY(const bus::Topic topic, wanted_topic(options.topic));
  const std::filesystem::path path = options.data_dir;
  if (!std::filesystem::is_directory(path / "log"))
    return fail(ErrorCode::not_found, "there is no log in the data folder " + path.string());
  TRY(const DataFolder folder, DataFolder::open(path));
  bus::embedded::Config config;
  // We only look: what may go is for the server's own settings to say.
  for (bus::embedded::Retention& retention : config.retention) retention = {.age = {}, .bytes = 0, .max_bytes = 0};
  metrics::Registry metrics;
  TRY(const auto bus, bus::embedded::open(path / "log", config, metrics));
  if (options.partition && *options.partition >= bus->partition_count())
    return fail(ErrorCode::invalid_argument, "the log has " + std::to_string(bus->partition_count()) +
                                                 " partitions; there is no partition " +
                                                 std::to_string(*options.partition));
  Printer printer(options);
  for (std::uint16_t i = 0; i < bus->partition_count(); ++i)
    if (!options.partition || *options.partition == i) DO(print_partition(*bus, topic, {i}, printer));
  return !printer.damaged();
}

}  // namespace

int print_log(const LogOptions& options) {
  const auto whole = print(options);
  if (!whole) return complain_about(whole.error());
  return *whole ? 0 : 1;
}

}  // namespace flux::app
