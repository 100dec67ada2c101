#include "broker/topic_tree.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "wire/mqtt/topic.h"

namespace flux::broker {
namespace {

using Names = std::multiset<std::string>;

Names found(const TopicTree<std::string>& tree, std::string_view topic) {
  Names names;
  tree.match(topic, [&](const std::string& value) { names.insert(value); });
  return names;
}

TEST(TopicTree, finds_what_the_standard_says) {
  TopicTree<std::string> tree;
  for (const char* filter :
       {"#", "+", "a", "a/#", "a/+", "a/b", "+/b", "+/+", "/a", "+/a", "a//b", "$SYS/#", "$SYS/+", "+/x/#"})
    tree.add(filter, filter);
  EXPECT_EQ(found(tree, "a"), (Names{"#", "+", "a", "a/#"}));
  EXPECT_EQ(found(tree, "a/b"), (Names{"#", "a/#", "a/+", "a/b", "+/b", "+/+"}));
  EXPECT_EQ(found(tree, "/a"), (Names{"#", "/a", "+/a", "+/+"}));
  EXPECT_EQ(found(tree, "a//b"), (Names{"#", "a/#", "a//b"}));
  EXPECT_EQ(found(tree, "$SYS/x"), (Names{"$SYS/#", "$SYS/+"}));
  EXPECT_EQ(found(tree, "$SYS"), (Names{"$SYS/#"}));
  EXPECT_EQ(found(tree, "b/x"), (Names{"#", "+/+", "+/x/#"}));
}

TEST(TopicTree, forgets_what_is_removed) {
  TopicTree<std::string> tree;
  tree.add("a/b/c", "1");
  tree.add("a/b/c", "2");
  EXPECT_EQ(tree.remove("a/b", [](const auto&) { return true; }), 0u);
  EXPECT_EQ(tree.remove("a/b/c", [](const auto& value) { return value == "1"; }), 1u);
  EXPECT_EQ(found(tree, "a/b/c"), (Names{"2"}));
  EXPECT_EQ(tree.remove("a/b/c", [](const auto&) { return true; }), 1u);
  EXPECT_EQ(tree.size(), 0u);
  EXPECT_EQ(found(tree, "a/b/c"), Names{});
}

/// Names of few letters, so that filters and topics meet.
rc::Gen<std::string> name_of(std::vector<std::string> levels) {
  return rc::gen::map(
      rc::gen::resize(5, rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(levels)))),
      [](const std::vector<std::string>& parts) {
        std::string name;
        for (std::size_t i = 0; i < parts.size(); ++i) name += (i > 0 ? "/" : "") + parts[i];
        return name;
      });
}

RC_GTEST_PROP(TopicTree, agrees_with_the_rule_applied_to_each_filter, ()) {
  const auto filters = *rc::gen::container<std::vector<std::string>>(rc::gen::suchThat(
      name_of({"a", "b", "", "+", "#", "$x"}), [](const auto& f) { return wire::mqtt::is_topic_filter(f); }));
  TopicTree<std::string> tree;
  for (const auto& filter : filters) tree.add(filter, filter);
  const auto removed = filters.empty() ? std::string() : *rc::gen::elementOf(filters);
  if (!filters.empty()) tree.remove(removed, [](const auto&) { return true; });
  for (int i = 0; i < 20; ++i) {
    const auto topic =
        *rc::gen::suchThat(name_of({"a", "b", "", "$x"}), [](const auto& t) { return wire::mqtt::is_topic_name(t); });
    Names expected;
    for (const auto& filter : filters)
      if (filter != removed && wire::mqtt::matches(filter, topic)) expected.insert(filter);
    RC_ASSERT(found(tree, topic) == expected);
  }
}

}  // namespace
}  // namespace flux::broker
