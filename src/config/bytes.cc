#include "config/bytes.h"

#include <array>
#include <charconv>
#include <limits>

namespace flux::config {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};

constexpr std::array<Unit, 10> kUnits{{{"", 1},
                                       {"B", 1},
                                       {"KiB", std::uint64_t{1} << 10},
                                       {"MiB", std::uint64_t{1} << 20},
                                       {"GiB", std::uint64_t{1} << 30},
                                       {"TiB", std::uint64_t{1} << 40},
                                       {"kB", 1'000},
                                       {"MB", 1'000'000},
                                       {"GB", 1'000'000'000},
                                       {"TB", 1'000'000'000'000}}};

}  // namespace

Result<Bytes> parse_bytes(std::string_view text) {
  const auto expected = [] {
    return fail(ErrorCode::invalid_argument, "expected a size, such as 4096, 64KiB or 128MiB");
  };
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return expected();
  std::string_view suffix(rest, text.data() + text.size());
  if (suffix.starts_with(' ')) suffix.remove_prefix(1);
  for (const Unit& unit : kUnits) {
    if (unit.name != suffix) continue;
    if (number > std::numeric_limits<std::uint64_t>::max() / unit.bytes) {
      return fail(ErrorCode::invalid_argument, "expected a size below 16777216TiB");
    }
    return Bytes{number * unit.bytes};
  }
  return expected();
}

std::string to_string(Bytes bytes) {
  constexpr std::array<std::pair<std::string_view, int>, 4> kBinary{
      {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}}};
  for (const auto& [name, shift] : kBinary) {
    const std::uint64_t unit = std::uint64_t{1} << shift;
    if (bytes.count >= unit && bytes.count % unit == 0) return std::to_string(bytes.count >> shift) + std::string(name);
  }
  return std::to_string(bytes.count);
}

}  // namespace flux::config
