#include "wire/batch/batch_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstring>
#include <random>

#include "core/batch_builder.h"

namespace flux::wire::batch {
namespace {

ShapePtr shape(std::string device, std::vector<FieldDef> fields, std::vector<Tag> tags = {}) {
  ShapeKey key;
  key.tenant = {7};
  key.device = std::move(device);
  key.tags = std::move(tags);
  key.fields = std::move(fields);
  return std::make_shared<const Shape>(std::move(key));
}

std::vector<std::byte> flatten(Gather& gather) {
  std::vector<std::byte> bytes;
  for (const Piece& piece : gather.pieces()) {
    const auto* first = static_cast<const std::byte*>(piece.data);
    bytes.insert(bytes.end(), first, first + piece.size);
  }
  EXPECT_EQ(bytes.size(), gather.size());
  return bytes;
}

void expect_same(const TelemetryBatch& a, const TelemetryBatch& b) {
  ASSERT_EQ(a.groups().size(), b.groups().size());
  EXPECT_EQ(a.received_at(), b.received_at());
  EXPECT_EQ(a.reading_count(), b.reading_count());
  EXPECT_EQ(a.row_count(), b.row_count());
  for (std::size_t g = 0; g < a.groups().size(); ++g) {
    const auto& left = a.groups()[g];
    const auto& right = b.groups()[g];
    ASSERT_EQ(left.shape().key(), right.shape().key());
    ASSERT_EQ(left.rows(), right.rows());
    for (std::size_t row = 0; row < left.rows(); ++row) {
      EXPECT_EQ(a.times(left)[row], b.times(right)[row]);
      for (std::size_t field = 0; field < left.shape().field_count(); ++field) {
        ASSERT_EQ(a.has(left, field, row), b.has(right, field, row));
        EXPECT_EQ(a.value(left, field, row), b.value(right, field, row));
      }
    }
  }
}

BatchPtr random_batch(std::mt19937_64& random, const std::vector<ShapePtr>& shapes) {
  BatchBuilder builder;
  const std::size_t rows = 1 + random() % 300;
  for (std::size_t i = 0; i < rows; ++i) {
    const ShapePtr& chosen = shapes[random() % shapes.size()];
    const auto cells = builder.add_row(chosen, Time{static_cast<std::int64_t>(random() >> 2)});
    for (std::size_t field = 0; field < cells.size(); ++field) {
      switch (chosen->fields()[field].type) {
        case ValueType::string: cells[field] = builder.add_string(std::string(random() % 20, 'x')); break;
        case ValueType::boolean: cells[field] = random() % 2; break;
        case ValueType::float64: cells[field] = to_cell(static_cast<double>(random() % 1000)); break;
        default: cells[field] = random();
      }
    }
    if (random() % 8 == 0) builder.set_missing(random() % chosen->field_count());
  }
  return builder.seal(Time{static_cast<std::int64_t>(random() >> 2)});
}

std::vector<ShapePtr> some_shapes() {
  return {shape("a", {{"temperature", ValueType::float64}}),
          shape("b", {{"t", ValueType::float64}, {"n", ValueType::int64}, {"u", ValueType::uint64}}, {{"site", "x"}}),
          shape("c", {{"on", ValueType::boolean}, {"text", ValueType::string}}, {{"a", "1"}, {"b", ""}})};
}

TEST(BatchCodec, WritesTheExampleOfItsHeader) {
  ShapeKey key;
  key.tenant = {1};
  key.measurement = "m";
  key.device = "d";
  key.fields = {{"t", ValueType::float64}};
  BatchBuilder builder;
  builder.add_row(std::make_shared<const Shape>(key), Time{2})[0] = to_cell(1.5);
  const auto bytes = encode_alone(*builder.seal(Time{1}));

  const unsigned char expected[] = {1, 0, 0, 0, 0x38, 0,   0,    0,   1,   0,   0,   0, 0, 0, 0, 0,  //
                                    1, 0, 0, 0, 0,    0,   0,    0,   0,   0,   0,   0, 1, 0, 0, 0,  //
                                    1, 0, 0, 0, 0,    0,   0,    0,   1,   0,   0,   0,              //
                                    7, 0, 0, 0, 'd',  'e', 'f',  'a', 'u', 'l', 't',                 //
                                    7, 0, 0, 0, 'a',  'u', 't',  'o', 'g', 'e', 'n',                 //
                                    1, 0, 0, 0, 'm',  1,   0,    0,   0,   'd',                      //
                                    1, 0, 0, 0, 't',  1,   0,    0,   0,   0,   0,   0,              //
                                    0, 0, 0, 0, 1,    0,   0,    0,                                  //
                                    2, 0, 0, 0, 0,    0,   0,    0,                                  //
                                    0, 0, 0, 0, 0,    0,   0xf8, 0x3f};
  ASSERT_EQ(bytes.size(), sizeof expected);
  EXPECT_EQ(std::memcmp(bytes.data(), expected, sizeof expected), 0);
}

TEST(BatchCodec, RoundTripsWithADictionaryThatGrows) {
  EXPECT_TRUE(rc::check("batches through one encoder and one decoder", [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto shapes = some_shapes();
    Encoder encoder;
    Decoder decoder;
    for (int i = 0; i < 4; ++i) {
      const BatchPtr batch = random_batch(random, shapes);
      Gather out;
      encoder.encode(*batch, out);
      const auto bytes = flatten(out);
      const auto decoded = decoder.decode(bytes);
      if (!decoded) RC_FAIL(decoded.error().message);
      expect_same(*batch, **decoded);
    }
  }));
}

TEST(BatchCodec, DefinesAShapeOnce) {
  const auto shapes = some_shapes();
  Encoder encoder;
  std::size_t sizes[2];
  for (std::size_t& size : sizes) {
    BatchBuilder builder;
    builder.add_row(shapes[0], Time{1});
    Gather out;
    const BatchPtr batch = builder.seal(Time{2});
    encoder.encode(*batch, out);
    size = out.size();
  }
  EXPECT_EQ(encoder.shape_count(), 1U);
  EXPECT_EQ(sizes[1], 32U + 8 + 16);
  EXPECT_GT(sizes[0], sizes[1]);
}

TEST(BatchCodec, ForgetsDefinitionsThatWereNotWritten) {
  const auto shapes = some_shapes();
  Encoder encoder;
  Decoder decoder;
  const auto encode = [&](const ShapePtr& of) {
    BatchBuilder builder;
    builder.add_row(of, Time{1});
    const BatchPtr batch = builder.seal(Time{2});
    Gather out;
    encoder.encode(*batch, out);
    return flatten(out);
  };
  ASSERT_TRUE(decoder.decode(encode(shapes[0])));
  const std::size_t written = encoder.shape_count();
  encode(shapes[1]);  // lost
  encoder.forget_from(written);
  ASSERT_EQ(encoder.shape_count(), written);
  const auto other = decoder.decode(encode(shapes[2]));
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ((*other)->groups()[0].shape().device(), "c");
  const auto again = decoder.decode(encode(shapes[1]));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->groups()[0].shape().device(), "b");
}

TEST(BatchCodec, LearnsDefinitionsWithoutDecoding) {
  std::mt19937_64 random(5);
  const auto shapes = some_shapes();
  Encoder encoder;
  Gather first;
  Gather second;
  const BatchPtr a = random_batch(random, shapes);
  const BatchPtr b = random_batch(random, shapes);
  encoder.encode(*a, first);
  encoder.encode(*b, second);
  Decoder decoder;
  EXPECT_EQ(decoder.decode(flatten(second)).error().code, ErrorCode::corrupt);
  ASSERT_TRUE(decoder.learn(flatten(first)));
  const auto decoded = decoder.decode(flatten(second));
  ASSERT_TRUE(decoded) << decoded.error().message;
  expect_same(*b, **decoded);
}

TEST(BatchCodec, RefusesEveryTruncation) {
  std::mt19937_64 random(6);
  const auto shapes = some_shapes();
  BatchBuilder builder;
  for (const ShapePtr& each : shapes) {
    const auto cells = builder.add_row(each, Time{1});
    if (each->device() == "c") cells[1] = builder.add_string("twelve chars");
  }
  const auto bytes = encode_alone(*builder.seal(Time{2}));
  // Only the padding behind the heap may be missing.
  for (std::size_t size = 0; size + 4 < bytes.size(); ++size) {
    Decoder decoder;
    const auto decoded = decoder.decode(std::span(bytes).first(size));
    ASSERT_FALSE(decoded) << size;
    EXPECT_EQ(decoded.error().code, ErrorCode::corrupt);
    EXPECT_NE(decoded.error().message.find("byte"), std::string::npos) << decoded.error().message;
  }
}

TEST(BatchCodec, SurvivesDamage) {
  EXPECT_TRUE(rc::check("any damaged bytes decode or fail with corrupt", [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    auto bytes = encode_alone(*random_batch(random, some_shapes()));
    const std::size_t changes = 1 + random() % 8;
    // Mostly in the front, where lengths and counts are.
    const std::size_t reach = random() % 2 == 0 ? std::min<std::size_t>(bytes.size(), 400) : bytes.size();
    for (std::size_t i = 0; i < changes; ++i) bytes[random() % reach] = static_cast<std::byte>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    Decoder decoder;
    if (const auto decoded = decoder.decode(bytes); !decoded) RC_ASSERT(decoded.error().code == ErrorCode::corrupt);
  }));
}

TEST(BatchCodec, RefusesPromisesOfMoreThanThereIs) {
  BatchBuilder builder;
  builder.add_row(some_shapes()[1], Time{1});
  const auto good = encode_alone(*builder.seal(Time{2}));
  const auto with = [&](std::size_t at, std::uint32_t value) {
    auto bytes = good;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    Decoder decoder;
    const auto decoded = decoder.decode(bytes);
    return decoded ? std::string("decoded") : decoded.error().message;
  };
  EXPECT_NE(with(0, 0xFFFFFFFF).find("more definitions"), std::string::npos);
  EXPECT_NE(with(4, 0xFFFFFFF8).find("beyond the end"), std::string::npos);
  EXPECT_NE(with(8, 0xFFFFFFFF).find("groups do not fit"), std::string::npos);
  EXPECT_NE(with(12, 0xFFFFFFFF).find("the heap goes beyond"), std::string::npos);
  EXPECT_NE(with(24, 0xFFFFFFF0).find("id is too high"), std::string::npos);
  EXPECT_NE(with(28, 2).find("no layout 2"), std::string::npos);
  EXPECT_NE(with(36, 0xFFFFFFFF).find("tags do not fit"), std::string::npos);
  EXPECT_NE(with(40, 0xFFFFFFFF).find("fields do not fit"), std::string::npos);
}

}  // namespace
}  // namespace flux::wire::batch
