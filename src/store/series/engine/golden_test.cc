// A folder of every format that was ever written opens for good. `FLUX_WRITE_GOLDEN=FOLDER` writes one of today's.

#include <gtest/gtest.h>

#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "store/series/engine/engine_impl.h"
#include "store/series/series_store_conformance.h"

namespace flux::store::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'740'787'200 * kSecond;
constexpr int kRows = 700;

// Walks with walls, decimals, odd bit patterns, times with gaps; without a library's random numbers, which may change.
std::vector<TestRows> golden_rows() {
  std::vector<TestRows> groups;
  std::uint64_t random = 88172645463325252ULL;
  const auto next = [&] {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random >> 8;
  };
  for (int device = 0; device < 2; ++device) {
    TestRows rows("golden-" + std::to_string(device), {{"bits", ValueType::float64},
                                                       {"count", ValueType::uint64},
                                                       {"decimal", ValueType::float64},
                                                       {"on", ValueType::boolean},
                                                       {"walk", ValueType::int64},
                                                       {"word", ValueType::string}});
    std::int64_t walk = 50;
    std::int64_t time = kStart;
    for (std::uint64_t i = 0; i < kRows; ++i) {
      walk = std::clamp<std::int64_t>(walk + static_cast<std::int64_t>(next() % 5) - 2, 40, 55);
      time += (next() % 10 == 0 ? 2 : 1) * 10 * kSecond;
      const std::uint64_t odd = i % 50 == 7
                                    ? 0x7FF0000000000001 + i
                                    : std::bit_cast<std::uint64_t>(std::sqrt(static_cast<double>(next() % 1000)));
      const double decimal = static_cast<double>(next() % 2000) / 100 - 7;
      const bool on = next() % 3 == 0;
      rows.row(time, {std::bit_cast<double>(odd), i * i, decimal, on, walk, "word " + std::to_string(next() % 9)});
    }
    groups.push_back(std::move(rows));
  }
  return groups;
}

std::unique_ptr<Engine> open_quiet(const std::filesystem::path& folder) {
  Environment environment;
  environment.background = false;
  auto engine = Engine::open(folder, {}, environment);
  EXPECT_TRUE(engine.has_value()) << engine.error().message;
  return *std::move(engine);
}

// Doubles by their bits, so that a NaN is equal to itself.
std::map<std::string, std::vector<std::string>> everything(const Engine& engine) {
  SeriesSelector selector{.tenant = {1}};
  selector.devices = {"golden-0", "golden-1"};
  const auto found = scan_all(engine, selector);
  EXPECT_TRUE(found.has_value()) << found.error().message;
  std::map<std::string, std::vector<std::string>> all;
  for (const auto& [name, points] : *found) {
    for (const auto& [time, value] : points) {
      std::string text = std::to_string(time) + " " + std::to_string(value.index()) + " ";
      std::visit(
          [&](const auto& of) {
            using Type = std::decay_t<decltype(of)>;
            if constexpr (std::is_same_v<Type, std::string>) text += of;
            else if constexpr (std::is_same_v<Type, double>) text += std::to_string(std::bit_cast<std::uint64_t>(of));
            else text += std::to_string(of);
          },
          value);
      all[name].push_back(std::move(text));
    }
  }
  return all;
}

void write_golden(const std::filesystem::path& folder) {
  const auto engine = open_quiet(folder);
  ASSERT_TRUE(engine->append({0}, {0}, *batch_of(golden_rows())).has_value());
  ASSERT_TRUE(engine->flush().has_value());
}

struct Copy {
  explicit Copy(const std::filesystem::path& from)
      : path(std::filesystem::temp_directory_path() / ("flux_golden_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path);
    std::filesystem::copy(from, path, std::filesystem::copy_options::recursive);
  }
  ~Copy() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

TEST(Golden, FoldersOfEveryFormatOpenAndMerge) {
  if (const char* folder = std::getenv("FLUX_WRITE_GOLDEN")) write_golden(folder);
  const Copy fresh_home(FLUX_TESTDATA);
  write_golden(fresh_home.path / "fresh");
  const auto truth = everything(*open_quiet(fresh_home.path / "fresh"));
  ASSERT_EQ(truth.size(), 12U);
  std::size_t versions = 0;
  for (const auto& entry : std::filesystem::directory_iterator(fresh_home.path)) {
    SCOPED_TRACE(entry.path().filename().string());
    ++versions;
    {
      const auto engine = open_quiet(entry.path());
      EXPECT_TRUE(everything(*engine) == truth);
      // Something else on top, so that a merge writes the old readings anew.
      TestRows more("later", {{"f", ValueType::float64}});
      more.row(kStart, {1.0});
      ASSERT_TRUE(engine->append({0}, {1}, *batch_of({more})).has_value());
      ASSERT_TRUE(engine->flush().has_value());
      ASSERT_TRUE(engine->merge_all().has_value());
      EXPECT_TRUE(everything(*engine) == truth);
    }
  }
  EXPECT_GE(versions, 3U);
}

}  // namespace
}  // namespace flux::store::engine
