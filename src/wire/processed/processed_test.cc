#include "wire/processed/processed.h"

#include <gtest/gtest.h>

namespace flux::wire {
namespace {

TEST(Processed, SplitsTheTenantOff) {
  const auto object = split_tenant("{\"tenant\":17,\"id\":\"0-1-2\"}");
  ASSERT_TRUE(object);
  EXPECT_EQ(object->tenant, TenantId{17});
  EXPECT_EQ(object->json, "{\"id\":\"0-1-2\"}");
  for (const char* bad : {"", "{", "{\"tenant\":", "{\"tenant\":1", "{\"tenant\":x,\"a\":1}", "{\"id\":1}",
                          "{\"tenant\":99999999999,\"a\":1}"})
    EXPECT_FALSE(split_tenant(bad)) << bad;
}

TEST(Processed, FindsUnitsAndLabels) {
  const DeviceContext context{.labels = {{"a", "1"}, {"c", "3"}}, .units = {{"speed", "m/s"}, {"volume", "l"}}};
  EXPECT_EQ(context.unit_of("speed"), "m/s");
  EXPECT_EQ(context.unit_of("temperature"), "");
  EXPECT_EQ(*context.label("c"), "3");
  EXPECT_EQ(context.label("b"), nullptr);
}

}  // namespace
}  // namespace flux::wire
