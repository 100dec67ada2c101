#include <cstddef>
#include <cstdint>

#include "core/result.h"
#include "wire/control/control.h"

// Whatever the bytes, decoding ends; what it accepts is spelled the same way again, but for overlong varints.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto record = flux::wire::control::decode({reinterpret_cast<const char*>(data), size});
  if (record) CHECK(flux::wire::control::decode(flux::wire::control::encode(*record)).has_value());
  (void)flux::wire::control::decode_all({reinterpret_cast<const char*>(data), size});
  return 0;
}
