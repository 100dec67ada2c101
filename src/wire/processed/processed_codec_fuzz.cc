#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/result.h"
#include "wire/processed/processed_codec.h"

/// Whatever decodes must encode, and decode again, to the same, whole or in parts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flux::wire;
  const auto batch = processed::decode({reinterpret_cast<const char*>(data), size});
  if (!batch) return 0;
  CHECK(batch->contexts.size() == batch->batch->groups().size());
  const auto again = processed::decode(processed::encode(*batch));
  CHECK(again.has_value());
  CHECK(again->position == batch->position);
  CHECK(std::ranges::equal(again->batch->words(), batch->batch->words()));
  CHECK(again->batch->heap() == batch->batch->heap());
  std::size_t readings = 0;
  for (const std::string& part : processed::encode_parts(*batch, 64)) {
    const auto decoded = processed::decode(part);
    CHECK(decoded.has_value());
    readings += decoded->batch->reading_count();
  }
  if (!batch->contexts.empty()) CHECK(readings == batch->batch->reading_count());
  return 0;
}
