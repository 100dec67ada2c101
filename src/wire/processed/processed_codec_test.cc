#include "wire/processed/processed_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "core/batch_builder.h"
#include "wire/batch/batch_codec.h"

namespace flux::wire::processed {
namespace {

constexpr TenantId kTenant{7};

ShapePtr shape(const std::string& device, std::vector<FieldDef> fields) {
  ShapeKey key{.tenant = kTenant, .device = device};
  key.fields = std::move(fields);
  return std::make_shared<const Shape>(std::move(key));
}

DeviceContextPtr context(const std::string& device) {
  return std::make_shared<const DeviceContext>(
      DeviceContext{.tenant = kTenant,
                    .device = device,
                    .name = "The " + device,
                    .profile = "pump",
                    .labels = {{"line", "2"}, {"site", "Süd"}},
                    .location = control::Location{.latitude = 52.5, .longitude = -13.25, .place = "Hall 3"},
                    .units = {{"pressure", "bar"}, {"speed", "m/s"}, {"temperature", "°C"}}});
}

/// Four shapes of three devices, with texts and missing values.
ProcessedBatch some_batch(std::uint64_t seed, std::size_t rows) {
  std::mt19937_64 random(seed);
  const std::vector<ShapePtr> shapes{
      shape("a", {{"temperature", ValueType::float64}, {"state", ValueType::string}}),
      shape("b", {{"speed", ValueType::float64}, {"n", ValueType::int64}, {"on", ValueType::boolean}}),
      shape("a", {{"pressure", ValueType::float64}}), shape("c", {{"text", ValueType::string}})};
  const std::vector<DeviceContextPtr> devices{
      context("a"), context("b"),
      std::make_shared<const DeviceContext>(DeviceContext{.tenant = kTenant, .device = "c"})};
  BatchBuilder builder;
  for (std::size_t i = 0; i < rows; ++i) {
    const ShapePtr& chosen = shapes[random() % shapes.size()];
    const auto cells = builder.add_row(chosen, Time{static_cast<std::int64_t>(random() >> 2)});
    for (std::size_t field = 0; field < cells.size(); ++field) {
      const ValueType type = chosen->fields()[field].type;
      if (type == ValueType::string) cells[field] = builder.add_string(std::string(random() % 30, 'x') + "é");
      else if (type == ValueType::boolean) cells[field] = random() % 2;
      else cells[field] = random() >> 12;
    }
    if (random() % 3 == 0) builder.set_missing(random() % chosen->field_count());
  }
  ProcessedBatch batch{.batch = builder.seal(Time{5}), .contexts = {}, .position = {PartitionId{3}, Offset{1'234}}};
  for (const auto& group : batch.batch->groups())
    batch.contexts.push_back(*std::ranges::find(devices, group.shape().device(), &DeviceContext::device));
  return batch;
}

/// A row as a text: whose it is, what is known of that device, and its values.
std::vector<std::string> rows_of(const ProcessedBatch& batch) {
  std::vector<std::string> rows;
  for (std::size_t g = 0; g < batch.batch->groups().size(); ++g) {
    const auto& group = batch.batch->groups()[g];
    const DeviceContext& device = *batch.contexts[g];
    for (std::size_t row = 0; row < group.rows(); ++row) {
      std::string text = device.device + "|" + device.name + "|" + device.profile;
      for (const Tag& label : device.labels) text += "|" + label.key + "=" + label.value;
      if (device.location) text += "|" + std::to_string(device.location->latitude) + device.location->place;
      text += "@" + std::to_string(batch.batch->times(group)[row]);
      for (std::size_t field = 0; field < group.shape().field_count(); ++field) {
        const FieldDef& def = group.shape().fields()[field];
        if (!batch.batch->has(group, field, row)) continue;
        const Cell cell = batch.batch->column(group, field)[row];
        text += " " + def.name + "=";
        text += def.type == ValueType::string ? std::string(batch.batch->string(cell)) : std::to_string(cell);
        text += device.unit_of(def.name);
      }
      rows.push_back(std::move(text));
    }
  }
  return rows;
}

TEST(ProcessedCodec, WritesTheExampleOfItsHeader) {
  BatchBuilder builder;
  ShapeKey key{.tenant = {1}, .device = "d"};
  key.fields = {{"t", ValueType::float64}};
  builder.add_row(std::make_shared<const Shape>(key), Time{2})[0] = to_cell(1.5);
  const ProcessedBatch batch{
      .batch = builder.seal(Time{1}),
      .contexts = {std::make_shared<const DeviceContext>(DeviceContext{.tenant = {1}, .device = "d", .profile = "p"})},
      .position = {PartitionId{2}, Offset{5}}};
  const std::string bytes = encode(batch);
  const unsigned char expected[] = {1, 0, 0,   0, 1, 0,   0, 0, 0x10, 0, 0, 0, 2, 0, 0, 0,  //
                                    5, 0, 0,   0, 0, 0,   0, 0,                             //
                                    1, 1, 'd', 0, 1, 'p', 0, 0, 0,                          //
                                    0, 0, 0,   0, 0, 0,   0};
  ASSERT_GT(bytes.size(), sizeof expected);
  EXPECT_EQ(std::memcmp(bytes.data(), expected, sizeof expected), 0);
  const auto columns = batch::encode_alone(*batch.batch);
  ASSERT_EQ(bytes.size(), sizeof expected + columns.size());
  EXPECT_EQ(std::memcmp(bytes.data() + sizeof expected, columns.data(), columns.size()), 0);
}

TEST(ProcessedCodec, KeepsReadingsWithWhatIsKnownOfTheirDevices) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const ProcessedBatch batch = some_batch(seed, 1 + seed * 7 % 200);
    const auto decoded = decode(encode(batch));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->position, batch.position);
    EXPECT_EQ(decoded->batch->received_at(), batch.batch->received_at());
    EXPECT_EQ(rows_of(*decoded), rows_of(batch));
  }
}

TEST(ProcessedCodec, SpellsADeviceOnceAndOnlyTheUnitsThatTheBatchHas) {
  const ProcessedBatch batch = some_batch(3, 100);
  const auto decoded = decode(encode(batch)).value();
  ASSERT_EQ(decoded.contexts.size(), 4U);
  std::vector<const DeviceContext*> of_a;
  for (const DeviceContextPtr& device : decoded.contexts)
    if (device->device == "a") of_a.push_back(device.get());
  ASSERT_EQ(of_a.size(), 2U);
  EXPECT_EQ(of_a[0], of_a[1]);
  EXPECT_EQ(of_a[0]->units,
            (std::vector<std::pair<std::string, std::string>>{{"pressure", "bar"}, {"temperature", "°C"}}));
  EXPECT_EQ(of_a[0]->location, context("a")->location);
}

TEST(ProcessedCodec, CutsWhatIsTooLargeIntoPartsInOrder) {
  for (const std::size_t limit : {std::size_t{1}, std::size_t{600}, std::size_t{4'000}, kPartBytes}) {
    SCOPED_TRACE(limit);
    const ProcessedBatch batch = some_batch(limit, 500);
    const auto parts = encode_parts(batch, limit);
    if (limit == kPartBytes) {
      EXPECT_EQ(parts.size(), 1U);
    } else if (limit == 1) {
      EXPECT_EQ(parts.size(), 500U) << "a row is never cut";
    } else {
      EXPECT_GT(parts.size(), 2U);
      for (const std::string& part : parts) EXPECT_LT(part.size(), limit + 500);
    }
    std::vector<std::string> rows;
    for (const std::string& part : parts) {
      const auto decoded = decode(part);
      ASSERT_TRUE(decoded) << decoded.error().message;
      EXPECT_EQ(decoded->position, batch.position);
      for (std::string& row : rows_of(*decoded)) rows.push_back(std::move(row));
    }
    EXPECT_EQ(rows, rows_of(batch));
    EXPECT_EQ(parts, encode_parts(batch, limit)) << "the same parts each time";
  }
}

TEST(ProcessedCodec, RefusesEveryTruncationAndSurvivesEveryFlippedByte) {
  const std::string bytes = encode(some_batch(9, 20));
  for (std::size_t size = 0; size + 8 <= bytes.size(); ++size) {
    const auto decoded = decode(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(decoded) << size;
    EXPECT_EQ(decoded.error().code, ErrorCode::corrupt);
    EXPECT_TRUE(decoded.error().message.contains("byte ")) << decoded.error().message;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {1, 0x80}) {
      std::string other = bytes;
      other[at] = static_cast<char>(other[at] ^ flip);
      if (const auto decoded = decode(other)) EXPECT_EQ(decoded->contexts.size(), decoded->batch->groups().size());
    }
  }
}

TEST(ProcessedCodec, SaysWhatDoesNotFitTogether) {
  const std::string bytes = encode(some_batch(9, 20));
  const auto says = [&](std::size_t at, char value, const char* what) {
    std::string other = bytes;
    other[at] = value;
    const auto decoded = decode(other);
    ASSERT_FALSE(decoded) << what;
    EXPECT_TRUE(decoded.error().message.contains(what)) << decoded.error().message;
  };
  says(0, 2, "there is no layout 2");
  says(5, 1, "more devices than fit");
  says(8, 3, "a multiple of 8");
  says(10, 1, "devices go beyond the end");
  says(26, 'z', "a group of one device names another");
}

}  // namespace
}  // namespace flux::wire::processed
