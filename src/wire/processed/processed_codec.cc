#include "wire/processed/processed_codec.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <span>

#include "wire/batch/batch_codec.h"
#include "wire/control/packing.h"

namespace flux::wire::processed {
namespace {

using control::Packer;
using control::Unpacker;

constexpr std::uint32_t kLayout = 1;
constexpr std::size_t kDeviceBytes = 8;  // of the smallest

struct Header {
  std::uint32_t layout;
  std::uint32_t devices;
  std::uint32_t device_bytes;
  std::uint16_t partition;
  std::uint16_t zero;
  std::uint64_t offset;
};
static_assert(sizeof(Header) == 24);

/// A device and which of its units the batch has metrics for.
struct Spelled {
  const DeviceContext* context;
  std::vector<bool> units;
};

void note_units(Spelled& device, const Shape& shape) {
  const auto& units = device.context->units;
  if (units.empty()) return;
  for (const FieldDef& field : shape.fields()) {
    const auto at =
        std::ranges::lower_bound(units, field.name, {}, [](const auto& unit) { return std::string_view(unit.first); });
    if (at != units.end() && at->first == field.name) device.units[static_cast<std::size_t>(at - units.begin())] = true;
  }
}

void put_device(const Spelled& device, Packer& out) {
  const DeviceContext& context = *device.context;
  out.number(context.tenant.value);
  out.text(context.device);
  out.text(context.name);
  out.text(context.profile);
  out.number(context.labels.size());
  for (const Tag& label : context.labels) {
    out.text(label.key);
    out.text(label.value);
  }
  out.boolean(context.location.has_value());
  if (context.location) {
    out.real(context.location->latitude);
    out.real(context.location->longitude);
    out.text(context.location->place);
  }
  out.number(static_cast<std::uint64_t>(std::ranges::count(device.units, true)));
  for (std::size_t i = 0; i < device.units.size(); ++i) {
    if (!device.units[i]) continue;
    out.text(context.units[i].first);
    out.text(context.units[i].second);
  }
}

DeviceContextPtr take_device(Unpacker& in) {
  auto context = std::make_shared<DeviceContext>();
  context->tenant.value = in.number32();
  context->device = in.text();
  context->name = in.text();
  context->profile = in.text();
  context->labels.resize(in.count(2));
  for (std::size_t i = 0; i < context->labels.size() && in.ok(); ++i) {
    Tag& label = context->labels[i];
    label.key = in.text();
    label.value = in.text();
    if (i > 0 && context->labels[i - 1].key > label.key) in.fail();
  }
  if (in.boolean()) {
    control::Location& location = context->location.emplace();
    location.latitude = in.real();
    location.longitude = in.real();
    location.place = in.text();
  }
  context->units.resize(in.count(2));
  for (std::size_t i = 0; i < context->units.size() && in.ok(); ++i) {
    auto& [metric, unit] = context->units[i];
    metric = in.text();
    unit = in.text();
    if (i > 0 && context->units[i - 1].first > metric) in.fail();
  }
  return context;
}

std::unexpected<Error> wrong(std::size_t at, const std::string& what) {
  return fail(ErrorCode::corrupt, "processed batch, byte " + std::to_string(at) + ": " + what);
}

// --- parts -----------------------------------------------------------------------------------------------------------

/// Some rows of one group.
struct Stretch {
  std::size_t group;
  std::size_t first;
  std::size_t rows;
};

/// What a group costs beside its rows: its shape and its device, spelled out.
std::size_t bytes_of_names(const Shape& shape, const DeviceContext& context) {
  const ShapeKey& key = shape.key();
  std::size_t bytes = 64 + key.database.size() + key.retention_policy.size() + key.measurement.size() +
                      2 * key.device.size() + context.name.size() + context.profile.size();
  for (const Tag& tag : key.tags) bytes += 8 + tag.key.size() + tag.value.size();
  for (const FieldDef& field : key.fields) bytes += 8 + 2 * field.name.size() + context.unit_of(field.name).size();
  for (const Tag& label : context.labels) bytes += 4 + label.key.size() + label.value.size();
  if (context.location) bytes += 24 + context.location->place.size();
  return bytes;
}

std::size_t about(const ProcessedBatch& processed) {
  const TelemetryBatch& batch = *processed.batch;
  std::size_t bytes = batch.words().size_bytes() + batch.heap().size();
  for (std::size_t g = 0; g < batch.groups().size(); ++g)
    bytes += bytes_of_names(batch.groups()[g].shape(), *processed.contexts[g]);
  return bytes;
}

std::vector<std::size_t> text_columns(const Shape& shape) {
  std::vector<std::size_t> columns;
  for (std::size_t field = 0; field < shape.field_count(); ++field)
    if (shape.fields()[field].type == ValueType::string) columns.push_back(field);
  return columns;
}

std::vector<std::vector<Stretch>> cut(const ProcessedBatch& processed, std::size_t part_bytes) {
  const TelemetryBatch& batch = *processed.batch;
  std::vector<std::vector<Stretch>> parts(1);
  std::size_t bytes = 0;
  for (std::size_t g = 0; g < batch.groups().size(); ++g) {
    const auto& group = batch.groups()[g];
    const std::size_t names = bytes_of_names(group.shape(), *processed.contexts[g]);
    const std::size_t fixed = 8 * (1 + group.shape().field_count()) + group.shape().field_count() / 8 + 1;
    const auto texts = text_columns(group.shape());
    for (std::size_t row = 0; row < group.rows(); ++row) {
      std::size_t size = fixed;
      for (const std::size_t field : texts) size += as_string_ref(batch.column(group, field)[row]).length;
      const bool begins = parts.back().empty() || parts.back().back().group != g;
      if (!parts.back().empty() && bytes + size + (begins ? names : 0) > part_bytes) {
        parts.emplace_back();
        bytes = 0;
      }
      if (parts.back().empty() || parts.back().back().group != g) {
        parts.back().push_back({g, row, 0});
        bytes += names;
      }
      ++parts.back().back().rows;
      bytes += size;
    }
  }
  return parts;
}

ProcessedBatch copy(const ProcessedBatch& whole, const std::vector<Stretch>& stretches) {
  const TelemetryBatch& batch = *whole.batch;
  ProcessedBatch part{.batch = nullptr, .contexts = {}, .position = whole.position};
  std::vector<TelemetryBatch::GroupSpec> specs;
  std::vector<std::uint64_t> words;
  std::string heap;
  for (const Stretch& stretch : stretches) {
    const auto& group = batch.groups()[stretch.group];
    const Shape& shape = group.shape();
    part.contexts.push_back(whole.contexts[stretch.group]);
    specs.push_back({group.shape_ptr(), static_cast<std::uint32_t>(stretch.rows), group.has_validity()});
    for (const std::int64_t time : batch.times(group).subspan(stretch.first, stretch.rows))
      words.push_back(static_cast<std::uint64_t>(time));
    for (std::size_t field = 0; field < shape.field_count(); ++field) {
      for (const Cell cell : batch.column(group, field).subspan(stretch.first, stretch.rows)) {
        if (shape.fields()[field].type != ValueType::string) {
          words.push_back(cell);
          continue;
        }
        const std::string_view text = batch.string(cell);
        words.push_back(text.empty() ? 0
                                     : to_cell(StringRef{static_cast<std::uint32_t>(heap.size()),
                                                         static_cast<std::uint32_t>(text.size())}));
        heap.append(text);
      }
    }
    if (!group.has_validity()) continue;
    for (std::size_t field = 0; field < shape.field_count(); ++field) {
      const std::size_t begin = words.size();
      words.resize(begin + (stretch.rows + 63) / 64);
      for (std::size_t row = 0; row < stretch.rows; ++row)
        if (batch.has(group, field, stretch.first + row)) words[begin + row / 64] |= std::uint64_t{1} << (row % 64);
    }
  }
  auto made = TelemetryBatch::assemble(std::move(specs), std::move(words), std::move(heap), batch.received_at());
  CHECK(made.has_value());  // rows of a batch make a batch
  part.batch = *std::move(made);
  return part;
}

}  // namespace

std::string encode(const ProcessedBatch& processed) {
  const TelemetryBatch& batch = *processed.batch;
  std::vector<Spelled> devices;
  std::vector<std::uint32_t> numbers;
  boost::unordered_flat_map<const DeviceContext*, std::uint32_t> known;
  numbers.reserve(batch.groups().size());
  for (std::size_t g = 0; g < batch.groups().size(); ++g) {
    const DeviceContext* const context = processed.contexts[g].get();
    const auto [at, is_new] = known.try_emplace(context, static_cast<std::uint32_t>(devices.size()));
    if (is_new) devices.push_back({context, std::vector<bool>(context->units.size())});
    note_units(devices[at->second], batch.groups()[g].shape());
    numbers.push_back(at->second);
  }
  Packer packed;
  for (const Spelled& device : devices) put_device(device, packed);
  for (const std::uint32_t number : numbers) packed.number(number);

  batch::Encoder encoder;
  batch::Gather columns;
  encoder.encode(batch, columns);

  const std::size_t device_bytes = (packed.bytes().size() + 7) / 8 * 8;
  const Header header{.layout = kLayout,
                      .devices = static_cast<std::uint32_t>(devices.size()),
                      .device_bytes = static_cast<std::uint32_t>(device_bytes),
                      .partition = processed.position.partition.value,
                      .zero = 0,
                      .offset = processed.position.offset.value};
  std::string out;
  out.reserve(sizeof header + device_bytes + columns.size());
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
  out += packed.bytes();
  out.resize(sizeof header + device_bytes, '\0');
  for (const batch::Piece& piece : columns.pieces()) out.append(static_cast<const char*>(piece.data), piece.size);
  return out;
}

std::vector<std::string> encode_parts(const ProcessedBatch& processed, std::size_t part_bytes) {
  std::vector<std::string> encoded;
  if (about(processed) <= part_bytes) {
    encoded.push_back(encode(processed));
    return encoded;
  }
  const auto parts = cut(processed, part_bytes);
  encoded.reserve(parts.size());
  for (const auto& part : parts) encoded.push_back(encode(copy(processed, part)));
  return encoded;
}

Result<ProcessedBatch> decode(std::string_view bytes) {
  Header header{};
  if (bytes.size() < sizeof header) return wrong(0, "the header goes beyond the end");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.layout != kLayout) return wrong(0, "there is no layout " + std::to_string(header.layout));
  if (header.zero != 0) return wrong(14, "something is where nothing should be");
  const std::string_view behind = bytes.substr(sizeof header);
  if (header.device_bytes % 8 != 0) return wrong(8, "devices do not end at a multiple of 8");
  if (header.device_bytes > behind.size()) return wrong(8, "devices go beyond the end");
  if (header.devices > header.device_bytes / kDeviceBytes) return wrong(4, "more devices than fit into their bytes");

  ProcessedBatch processed{
      .batch = nullptr, .contexts = {}, .position = {PartitionId{header.partition}, Offset{header.offset}}};
  batch::Decoder decoder;
  const std::string_view columns = behind.substr(header.device_bytes);
  auto batch = decoder.decode(std::as_bytes(std::span(columns)));
  if (!batch) return wrong(sizeof header + header.device_bytes, "in the batch from here on: " + batch.error().message);
  processed.batch = *std::move(batch);

  Unpacker in(behind.substr(0, header.device_bytes));
  std::vector<DeviceContextPtr> devices;
  devices.reserve(header.devices);
  for (std::uint32_t i = 0; i < header.devices && in.ok(); ++i) devices.push_back(take_device(in));
  for (const auto& group : processed.batch->groups()) {
    const std::size_t at = sizeof header + in.position();
    const std::uint64_t number = in.number();
    if (!in.ok()) break;
    if (number >= devices.size()) return wrong(at, "there is no device " + std::to_string(number));
    const DeviceContextPtr& context = devices[number];
    if (context->tenant != group.shape().tenant() || context->device != group.shape().device())
      return wrong(at, "a group of one device names another");
    processed.contexts.push_back(context);
  }
  if (!in.ok())
    return wrong(sizeof header + in.position(), "a device or a group's number is not whole or not in order");
  if (in.left() >= 8) return wrong(sizeof header + in.position(), "devices are shorter than the header says");
  return processed;
}

}  // namespace flux::wire::processed
