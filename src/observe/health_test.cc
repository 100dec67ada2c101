#include "observe/health.h"

#include <gtest/gtest.h>

namespace flux::observe {
namespace {

TEST(Health, IsReadyOnlyWhileServing) {
  Health health;
  EXPECT_FALSE(health.ready());
  EXPECT_TRUE(health.live());
  health.set_phase(Phase::serving);
  EXPECT_TRUE(health.ready());
  health.set_phase(Phase::draining);
  EXPECT_FALSE(health.ready());
  EXPECT_TRUE(health.live());
}

TEST(Health, DegradedServesFailedDoesNot) {
  Health health;
  health.set_phase(Phase::serving);
  health.ok("bus");
  health.degraded("store", "compaction is behind");
  EXPECT_TRUE(health.ready());
  EXPECT_EQ(health.worst(), Condition::degraded);
  health.failed("bus", "fsync failed");
  EXPECT_FALSE(health.ready());
  EXPECT_FALSE(health.live());
  health.ok("bus");
  EXPECT_TRUE(health.ready());
  EXPECT_EQ(health.components().front().reason, "");
}

TEST(Health, RemembersSinceWhen) {
  Health health;
  health.degraded("bus", "one reason");
  const Time since = health.components().front().since;
  health.degraded("bus", "another reason");
  EXPECT_EQ(health.components().front().since, since);
  EXPECT_EQ(health.components().front().reason, "another reason");
  health.ok("bus");
  EXPECT_GE(health.components().front().since, since);
}

TEST(Health, SaysItInJson) {
  Health health;
  health.set_phase(Phase::serving);
  EXPECT_EQ(health.to_json(), R"({"status":"ok","phase":"serving","ready":true,"components":{}})");
  health.failed("bus", "disk \"a\" is full", "/srv/a has 0 MiB");
  health.ok("api");
  const auto components = health.components();
  EXPECT_EQ(health.to_json(),
            R"({"status":"failed","phase":"serving","ready":false,"components":{"api":{"status":"ok","since":")" +
                to_rfc3339(components[0].since) +
                R"("},"bus":{"status":"failed","reason":"disk \"a\" is full","detail":"/srv/a has 0 MiB","since":")" +
                to_rfc3339(components[1].since) + R"("}}})");
  // Details name files: they are not for everybody. What is well is not worth a word.
  EXPECT_EQ(health.summary_json("failed"),
            R"({"status":"failed","components":{"bus":{"status":"failed","reason":"disk \"a\" is full","since":")" +
                to_rfc3339(components[1].since) + R"("}}})");
  health.ok("bus");
  EXPECT_EQ(health.summary_json("ready"), R"({"status":"ready"})");
}

}  // namespace
}  // namespace flux::observe
