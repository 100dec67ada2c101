#include "broker/retained.h"

#include <gtest/gtest.h>

namespace flux::broker {
namespace {

MessagePtr message(std::string_view topic, std::string_view payload, Time expires = {}, std::uint32_t tenant = 1) {
  return std::make_shared<const Message>(
      Content{.tenant = {tenant}, .topic = topic, .payload = payload, .expires = expires, .retain = true});
}

std::vector<std::string> found(const RetainedStore& store, std::string_view filter, Time now = {}) {
  std::vector<std::string> lines;
  for (const auto& one : store.find({1}, filter, now))
    lines.push_back(std::string(one->content().topic) + "=" + std::string(one->content().payload));
  return lines;
}
using Lines = std::vector<std::string>;

TEST(RetainedStore, finds_by_filter_in_its_own_tenant) {
  RetainedStore store(100, 1 << 20);
  for (const char* topic : {"a", "a/b", "a/b/c", "ab", "b/b", "$x/b"}) ASSERT_TRUE(store.set(message(topic, "1")));
  ASSERT_TRUE(store.set(message("a/b", "other", {}, 2)));
  EXPECT_EQ(found(store, "a/b"), (Lines{"a/b=1"}));
  EXPECT_EQ(found(store, "a/#"), (Lines{"a=1", "a/b=1", "a/b/c=1"}));
  EXPECT_EQ(found(store, "+/b"), (Lines{"a/b=1", "b/b=1"}));
  EXPECT_EQ(found(store, "#"), (Lines{"a=1", "a/b=1", "a/b/c=1", "ab=1", "b/b=1"}));
  EXPECT_EQ(found(store, "a+"), Lines{});
  EXPECT_EQ(store.size(), 7u);
}

TEST(RetainedStore, replaces_forgets_and_expires) {
  RetainedStore store(100, 1 << 20);
  ASSERT_TRUE(store.set(message("a", "1")));
  ASSERT_TRUE(store.set(message("a", "2", {100})));
  EXPECT_EQ(found(store, "a", {99}), (Lines{"a=2"}));
  EXPECT_EQ(found(store, "a", {100}), Lines{});
  EXPECT_EQ(found(store, "+", {100}), Lines{});
  ASSERT_TRUE(store.set(message("a", "")));
  ASSERT_TRUE(store.set(message("never there", "")));
  EXPECT_EQ(store.size(), 0u);
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(RetainedStore, has_limits_that_it_names) {
  RetainedStore few(1, 1 << 20);
  ASSERT_TRUE(few.set(message("a", "1")));
  ASSERT_TRUE(few.set(message("a", "2")));
  const auto refused = few.set(message("b", "1"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
  EXPECT_EQ(found(few, "#"), (Lines{"a=2"}));
  RetainedStore small(100, 2'000);
  EXPECT_FALSE(small.set(message("a", std::string(3'000, 'x'))));
  EXPECT_TRUE(small.set(message("a", "x")));
}

TEST(RetainedStore, restores_the_newest_in_any_order) {
  RetainedStore store(100, 1 << 20);
  store.restore(message("a", "new"), 7);
  store.restore(message("a", "old"), 3);
  store.restore(message("b", ""), 9);
  store.restore(message("b", "older than its end"), 8);
  store.restored();
  EXPECT_EQ(found(store, "#"), (Lines{"a=new"}));
  EXPECT_GT(*store.set(message("c", "1")), 9u);
}

}  // namespace
}  // namespace flux::broker
