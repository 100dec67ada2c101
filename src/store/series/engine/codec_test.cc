#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "store/series/engine/bitpack.h"
#include "store/series/engine/block_codec.h"
#include "store/series/engine/entropy.h"
#include "store/series/engine/float_codec.h"
#include "store/series/engine/int_codec.h"

namespace flux::store::engine {
namespace {

using Words = std::vector<std::uint64_t>;
using Random = std::mt19937_64;

std::uint64_t seed_of_run() {
  const char* given = std::getenv("FLUX_SEED");
  return given != nullptr ? std::stoull(given) : std::random_device{}();
}

// Lists of every character: constant, regular, with gaps, random walks, runs, few values, decimals, bit soup, extremes.
Words any_list(Random& random) {
  const std::size_t count = 1 + random() % (random() % 8 == 0 ? 4096 : 300);
  Words list(count);
  const std::uint64_t kind = random() % 10;
  const std::uint64_t base = random() >> (random() % 64);
  const std::uint64_t step = random() >> (random() % 64);
  std::uint64_t walk = base;
  for (std::size_t i = 0; i < count; ++i) {
    switch (kind) {
      case 0: list[i] = base; break;
      case 1: list[i] = base + i * step; break;
      case 2: list[i] = walk += random() % 50 == 0 ? step * (random() % 1000) : step; break;
      case 3: list[i] = walk += random() % 7 - 3; break;
      case 4: list[i] = random() % 20 == 0 || i == 0 ? random() % 1000 : list[i - 1]; break;
      case 5: list[i] = base + step * (random() % 5); break;
      case 6: list[i] = std::bit_cast<std::uint64_t>(static_cast<double>(random() % 100000) / 100.0 - 300); break;
      case 7: list[i] = random(); break;
      case 8: {
        constexpr std::uint64_t kOdd[] = {0, 1, ~0ULL, 1ULL << 63, INT64_MAX, (1ULL << 56) - 1, 1ULL << 57};
        list[i] = kOdd[random() % std::size(kOdd)];
        break;
      }
      default: {
        const double odd[] = {0.0,
                              -0.0,
                              std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN(),
                              std::numeric_limits<double>::denorm_min(),
                              std::numeric_limits<double>::max(),
                              0.1,
                              1.5,
                              -273.15,
                              std::sin(static_cast<double>(i))};
        list[i] = std::bit_cast<std::uint64_t>(odd[random() % std::size(odd)]);
        if (random() % 10 == 0) list[i] = 0x7FF0000000000001 + random() % 1000;  // NaN payloads
      }
    }
  }
  return list;
}

// Long enough for entropy coding, with steps of every size.
Words walk_between_walls(Random& random) {
  Words list(64 + random() % 4033);
  const auto height = static_cast<std::int64_t>(1 + (random() >> (2 + random() % 62)));
  const std::uint64_t shift = random() % 62;
  std::int64_t walk = 0;
  for (std::uint64_t& value : list) {
    const auto step = static_cast<std::int64_t>((random() >> 2) >>
                                                (random() % 4 == 0 ? shift : std::min<std::uint64_t>(61, shift + 3)));
    walk = std::clamp<std::int64_t>(random() % 2 == 0 ? walk + step / 2 : walk - step / 2, 0, height);
    value = static_cast<std::uint64_t>(walk);
  }
  return list;
}

TEST(Codec, EveryListOfIntegersAndDoublesRoundTrips) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("FLUX_SEED=" + std::to_string(seed));
  Random random(seed);
  for (int run = 0; run < 3000; ++run) {
    const Words list = run % 4 == 0 ? walk_between_walls(random) : any_list(random);
    for (const ValueType type : {ValueType::int64, ValueType::uint64, ValueType::float64}) {
      std::string bytes;
      encode_values(type, list, bytes);
      Words back(list.size());
      TextArena arena;
      ASSERT_TRUE(decode_values(bytes, type, list.size(), back.data(), arena)) << "run " << run;
      ASSERT_EQ(back, list) << "run " << run << " type " << static_cast<int>(type);
      ASSERT_LE(bytes.size(), list.size() * 9 + 64);
    }
  }
}

TEST(Codec, EveryListOfTimesRoundTrips) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("FLUX_SEED=" + std::to_string(seed));
  Random random(seed);
  for (int run = 0; run < 1000; ++run) {
    const Words list = any_list(random);
    std::vector<std::int64_t> times(list.begin(), list.end());
    std::ranges::sort(times);
    times.erase(std::unique(times.begin(), times.end()), times.end());
    std::string bytes;
    encode_times(times, bytes);
    std::vector<std::int64_t> back(times.size());
    ASSERT_TRUE(decode_times(bytes, times.size(), back.data()));
    ASSERT_EQ(back, times);
  }
  std::string bytes;
  encode_times(std::vector<std::int64_t>{INT64_MIN, -1, 0, INT64_MAX}, bytes);
  std::vector<std::int64_t> back(4);
  ASSERT_TRUE(decode_times(bytes, 4, back.data()));
  EXPECT_EQ(back, (std::vector<std::int64_t>{INT64_MIN, -1, 0, INT64_MAX}));
}

TEST(Codec, EveryListOfStringsRoundTrips) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("FLUX_SEED=" + std::to_string(seed));
  Random random(seed);
  for (int run = 0; run < 300; ++run) {
    TextArena arena;
    std::vector<Cell> cells(1 + random() % 500);
    const std::uint64_t distinct = 1 + random() % 600;
    for (Cell& cell : cells) {
      std::string text(random() % 5 == 0 ? random() % 300 : random() % 5, 'x');
      for (char& letter : text) letter = static_cast<char>(random() % (run % 2 == 0 ? 256 : 4));
      cell = arena.add(random() % 3 == 0 ? text : std::to_string(random() % distinct));
    }
    std::string bytes;
    encode_values(ValueType::string, cells, bytes);
    std::vector<Cell> back(cells.size());
    TextArena other;
    ASSERT_TRUE(decode_values(bytes, ValueType::string, cells.size(), back.data(), other));
    for (std::size_t i = 0; i < cells.size(); ++i) ASSERT_EQ(text_of(back[i]), text_of(cells[i]));
  }
}

TEST(Codec, DamagedBytesNeverCrash) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("FLUX_SEED=" + std::to_string(seed));
  Random random(seed);
  for (int run = 0; run < 4000; ++run) {
    const Words list = run % 4 == 0 ? walk_between_walls(random) : any_list(random);
    const auto type = static_cast<ValueType>(1 + random() % 5);
    TextArena arena;
    Words cells = list;
    if (type == ValueType::boolean)
      for (Cell& cell : cells) cell &= 1;
    if (type == ValueType::string)
      for (Cell& cell : cells) cell = arena.add(std::to_string(cell % 1000));
    std::string bytes;
    encode_values(type, cells, bytes);
    for (std::size_t change = 1 + random() % 3; change > 0; --change) {
      switch (random() % 3) {
        case 0: bytes[random() % bytes.size()] ^= static_cast<char>(1U << random() % 8); break;
        case 1: bytes.resize(random() % bytes.size() + 1); break;
        default: bytes[random() % bytes.size()] = static_cast<char>(random()); break;
      }
    }
    const std::string exact(bytes);  // its own allocation, so that asan sees a read past the end
    Words back(cells.size() + random() % 5);
    (void)decode_values(exact, type, back.size(), back.data(), arena);
    std::vector<std::int64_t> times(cells.size());
    (void)decode_times(exact, times.size(), times.data());
  }
}

std::size_t coded_size(ValueType type, const Words& list) {
  std::string bytes;
  encode_values(type, list, bytes);
  return bytes.size();
}

// The example in docs/formats/part.md. Parts on disk are made of these: this must never fail.
TEST(Codec, BytesAreAsDrawn) {
  std::string bytes;
  encode_times(std::vector<std::int64_t>{0, 10'000'000'000, 20'000'000'000, 30'000'000'000}, bytes);
  EXPECT_EQ(bytes, std::string("\x01\x03\x00\x80\x90\xdf\xc0\x4a\x01\x00\x00", 11));
  bytes.clear();
  encode_values(ValueType::float64, std::vector<Cell>{to_cell(21.5), to_cell(21.6), to_cell(-0.0)}, bytes);
  Cell back[3];
  TextArena arena;
  ASSERT_TRUE(decode_values(bytes, ValueType::float64, 3, back, arena));
  EXPECT_EQ(back[2], to_cell(-0.0));
}

TEST(Codec, UsualDataGetsSmall) {
  Words list(4096);
  for (std::size_t i = 0; i < list.size(); ++i) list[i] = 1'740'787'200'000'000'000 + i * 10'000'000'000;
  EXPECT_LT(coded_size(ValueType::int64, list), 32U);  // a clock that ticks

  for (std::size_t i = 0; i < list.size(); ++i) list[i] += i / 1000 * 60'000'000'000;
  EXPECT_LT(coded_size(ValueType::int64, list), 64U);  // with a few gaps

  Random random(1);
  for (Cell& cell : list) cell = random() % 100;
  EXPECT_LT(coded_size(ValueType::int64, list), 4096U * 7 / 8 + 16);

  for (Cell& cell : list) cell = to_cell(static_cast<double>(2000 + random() % 1000) / 100);
  EXPECT_LT(coded_size(ValueType::float64, list), 4096U * 10 / 8 + 16);  // 20.00 to 29.99

  for (std::size_t i = 0; i < list.size(); ++i) list[i] = i / 512 % 2;
  EXPECT_LT(coded_size(ValueType::boolean, list), 32U);
}

// What frequencies are worth: a walk of σ 1 as whole numbers has 2.15 bits a step, and stands at its walls at times.
TEST(Codec, WalksTakeTheirEntropy) {
  Random random(3);
  std::normal_distribution<double> step;
  Words list(4096);
  double walk = 50;
  for (Cell& cell : list) cell = static_cast<Cell>(walk = std::clamp(walk + step(random), 0.0, 100.0));
  EXPECT_LT(coded_size(ValueType::int64, list), 4096U * 9 / 32);  // 2.25 bits
  for (Cell& cell : list) cell = to_cell(static_cast<double>(cell) / 10);
  EXPECT_LT(coded_size(ValueType::float64, list), 4096U * 9 / 32);
}

TEST(Entropy, EveryNumberInEveryContextRoundTrips) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("FLUX_SEED=" + std::to_string(seed));
  Random random(seed);
  for (int run = 0; run < 500; ++run) {
    const std::size_t contexts = 1 + random() % kMaxContexts;
    Words numbers(random() % 600);
    std::vector<std::uint8_t> of(numbers.size());
    EntropyPlan plan(contexts);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      of[i] = static_cast<std::uint8_t>(random() % contexts);
      numbers[i] = random() % 4 == 0 ? random() >> (random() % 64) : of[i];
      plan.count(of[i], numbers[i]);
    }
    std::string bytes;
    encode_entropy(numbers, of, plan, bytes);
    EXPECT_LE(bytes.size(), plan.bytes() + plan.bytes() / 16 + 16);
    const std::string exact(bytes);
    ByteReader in(exact);
    EntropyReader reader;
    ASSERT_TRUE(reader.start(in, contexts));
    for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(reader.next(of[i]), numbers[i]);
    EXPECT_TRUE(reader.finish());
    if (!numbers.empty()) {  // one bit off is noticed, or gives other numbers, and does not crash
      std::string bent(exact);
      bent[random() % bent.size()] ^= static_cast<char>(1U << random() % 8);
      ByteReader again(bent);
      EntropyReader other;
      if (other.start(again, contexts))
        for (const std::uint8_t context : of) (void)other.next(context);
    }
  }
}

TEST(Bitpack, EveryWidthRoundTripsAtEveryLength) {
  Random random(7);
  for (unsigned width = 0; width <= 64; ++width) {
    for (std::size_t count : {1, 7, 8, 9, 63, 64, 65, 130, 1000}) {
      Words values(count);
      for (auto& value : values) value = width == 0 ? 0 : random() >> (64 - width);
      std::string bytes;
      pack(values, plan_pack(values), bytes);
      const std::string exact(bytes);
      ByteReader in(exact);
      Words back(count);
      ASSERT_TRUE(unpack(in, count, back.data()));
      ASSERT_TRUE(in.done());
      ASSERT_EQ(back, values) << width << " bits";
    }
  }
}

}  // namespace
}  // namespace flux::store::engine
