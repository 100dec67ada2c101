#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/result.h"
#include "wire/batch/batch_codec.h"

/// Whatever decodes must encode, and decode again, to the same columns.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flux::wire::batch;
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  Decoder decoder;
  const auto batch = decoder.decode(bytes);
  Decoder learner;
  const auto learned = learner.learn(bytes);
  if (!batch) return 0;
  CHECK(learned.has_value());
  Decoder second;
  const auto again = second.decode(encode_alone(**batch));
  CHECK(again.has_value());
  CHECK((*again)->groups().size() == (*batch)->groups().size());
  CHECK(std::ranges::equal((*again)->words(), (*batch)->words()));
  CHECK((*again)->heap() == (*batch)->heap());
  CHECK((*again)->reading_count() == (*batch)->reading_count());
  return 0;
}
