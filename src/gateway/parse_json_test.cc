#include "gateway/parse_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace flux::gateway {
namespace {

std::string fault(std::string_view text) {
  const auto parsed = parse_json(text);
  return parsed ? "" : parsed.error().message;
}

TEST(ParseJson, NamesTheByteOrTheNumber) {
  EXPECT_EQ(fault("{\"a\":}"), "the body is not JSON: error at byte 6");
  EXPECT_EQ(fault(""), "the body is not JSON: error at byte 1");
  EXPECT_EQ(fault("{\"a\":1e999}"), "a number is too large for a double: '1e999'");
  EXPECT_EQ(fault("{\"a\":\"\xff\"}").substr(0, 20), "the body is not JSON");
}

TEST(ParseJson, NestsAsDeepAsAllowedAndNoDeeper) {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_EQ(fault(nested(kJsonNesting)), "");
  EXPECT_EQ(fault(nested(kJsonNesting + 1)), "the JSON nests deeper than 64 levels at byte 65");
  EXPECT_EQ(fault(std::string(1'000'000, '[')), "the JSON nests deeper than 64 levels at byte 65");
  EXPECT_EQ(fault("\"" + std::string(1000, '[') + "\\\"[\""), "") << "brackets of a text are none";
}

}  // namespace
}  // namespace flux::gateway
