#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flux::wire::json {

/// Where a text stops being JSON (RFC 8259) and what was expected there.
struct JsonFault {
  std::size_t offset = 0;  ///< of the offending byte, counted from 0; the text's length when it ends too early
  std::string message;     ///< `expected ',' or '}' after a value`
};

/// A number that is JSON but fits neither 64-bit integers nor a double.
struct WideNumber {
  std::size_t offset = 0;
  std::size_t length = 0;
  bool integer = false;  ///< it has neither fraction nor exponent, and a double can hold it rounded
};

/// A byte-for-byte check that names the offset of the first fault. The slow companion of simdjson, which says only that
/// something is wrong: it runs when a text was refused. `wide`, if given, receives the numbers that simdjson refuses
/// although they are grammatical.
///
///     check_json(R"({"a":1 "b":2})", 32)  ->  {7, "expected ',' or '}' after a value"}
std::optional<JsonFault> check_json(std::string_view text, std::size_t max_depth,
                                    std::vector<WideNumber>* wide = nullptr);

}  // namespace flux::wire::json
