#include "registry/databases.h"

#include <gtest/gtest.h>

#include "registry/test_registry.h"

namespace flux::registry {
namespace {

/// A registry's file with its databases, which can be opened again.
class World {
 public:
  World() : registry_(folder_.path() / "registry.db") { open(); }
  ~World() { databases_.reset(); }
  void restart() {
    databases_.reset();
    registry_.restart();
    open();
  }
  Databases& operator*() { return *databases_; }
  Databases* operator->() { return databases_.get(); }
  template <class T>
  Result<T> wait(Async<T> call) {
    return registry_.wait(std::move(call));
  }
  Result<> save(const DatabaseEntryPtr& entry) {
    runtime::Completion<> done;
    databases_->save_fields(entry, [done](Result<> result) { done.resolve(std::move(result)); });
    return registry_.wait(await(done));
  }

 private:
  static Async<void> await(runtime::Completion<> done) { co_return co_await done; }
  void open() {
    auto opened = Databases::open(registry_.database());
    ASSERT_TRUE(opened) << opened.error().message;
    databases_ = std::move(*opened);
  }
  TestFolder folder_;
  TestRegistry registry_;
  std::unique_ptr<Databases> databases_;
};

const std::vector<FieldDef> kFields{{"usage", ValueType::float64}, {"count", ValueType::int64}};

TEST(Databases, TheDefaultOneIsThereAndStays) {
  World world;
  const auto entry = world->find(kDefaultTenant, "default");
  ASSERT_TRUE(entry);
  EXPECT_TRUE(entry->has_policy("autogen"));
  EXPECT_EQ(world.wait(world->drop(kDefaultTenant, "default")).error().code, ErrorCode::invalid_argument);
}

TEST(Databases, SurviveARestartWithTheirTypes) {
  World world;
  const auto made = world.wait(world->create(kDefaultTenant, {.name = "telegraf", .device_tags = {"host", "node"}}));
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE((*made)->check_or_set_types("cpu", kFields));
  EXPECT_TRUE((*made)->unsaved());
  ASSERT_TRUE(world.save(*made));
  EXPECT_FALSE((*made)->unsaved());
  world.restart();
  const auto entry = world->find(kDefaultTenant, "telegraf");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->settings().device_tags, (std::vector<std::string>{"host", "node"}));
  EXPECT_EQ(entry->settings().retention_policies, (std::vector<RetentionPolicy>{{"autogen", Duration{}}}));
  const std::vector<FieldDef> other{{"usage", ValueType::int64}};
  const auto conflict = entry->check_or_set_types("cpu", other);
  ASSERT_FALSE(conflict);
  EXPECT_EQ(conflict.error().message,
            "field type conflict: input field \"usage\" on measurement \"cpu\" is type integer, already exists as type "
            "float");
  EXPECT_EQ(conflict.error().field, "usage");
  EXPECT_TRUE(entry->check_or_set_types("mem", other)) << "another measurement";
  EXPECT_TRUE(world->find(kDefaultTenant, "default")->check_or_set_types("cpu", other)) << "another database";
}

TEST(Databases, AConflictSetsNothing) {
  World world;
  const auto entry = world->find(kDefaultTenant, "default");
  ASSERT_TRUE(entry->check_or_set_types("cpu", kFields));
  const std::vector<FieldDef> mixed{{"fresh", ValueType::string}, {"count", ValueType::uint64}};
  EXPECT_FALSE(entry->check_or_set_types("cpu", mixed));
  EXPECT_EQ(entry->fields().size(), 2U);
}

TEST(Databases, DropForgetsThem) {
  World world;
  const auto made = world.wait(world->ensure(kDefaultTenant, {.name = "x"}));
  ASSERT_TRUE(made);
  EXPECT_EQ(world.wait(world->ensure(kDefaultTenant, {.name = "x"})), made);
  EXPECT_EQ(world.wait(world->create(kDefaultTenant, {.name = "x"})).error().code, ErrorCode::already_exists);
  ASSERT_TRUE((*made)->check_or_set_types("cpu", kFields));
  ASSERT_TRUE(world.save(*made));
  ASSERT_TRUE(world.wait(world->drop(kDefaultTenant, "x")));
  EXPECT_TRUE((*made)->removed());
  EXPECT_FALSE(world->find(kDefaultTenant, "x"));
  EXPECT_EQ(world.wait(world->drop(kDefaultTenant, "x")).error().code, ErrorCode::not_found);
  ASSERT_TRUE((*made)->check_or_set_types("cpu", std::vector<FieldDef>{{"late", ValueType::string}}));
  EXPECT_FALSE(world.save(*made)) << "a field of a database that is gone";
  world.restart();
  EXPECT_FALSE(world->find(kDefaultTenant, "x"));
  ASSERT_TRUE(world.wait(world->create(kDefaultTenant, {.name = "x"})));
  EXPECT_TRUE(world->find(kDefaultTenant, "x")->fields().empty());
}

TEST(Databases, NamesAreChecked) {
  World world;
  for (const char* name : {"", "a/b", "..", "a\\b", "a\nb"}) {
    const auto made = world.wait(world->create(kDefaultTenant, {.name = name}));
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().field, "name");
  }
  EXPECT_EQ(world.wait(world->create(kDefaultTenant, {.name = "x", .device_tags = {"a", ""}})).error().field,
            "device_tags[1]");
}

}  // namespace
}  // namespace flux::registry
