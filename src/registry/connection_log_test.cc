#include "registry/connection_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "registry/model.h"

namespace flux::registry {
namespace {

ConnectionEvent event(std::string device, std::string message, TenantId tenant = kDefaultTenant) {
  return {.stage = ConnectionStage::auth, .message = std::move(message), .device = std::move(device), .tenant = tenant};
}

std::vector<std::string> messages(const std::vector<ConnectionEventPtr>& events) {
  std::vector<std::string> out;
  for (const auto& e : events) out.push_back(e->message);
  return out;
}

using Messages = std::vector<std::string>;

TEST(ConnectionLog, keeps_the_newest) {
  ConnectionLog log(3);
  EXPECT_TRUE(log.recent(kDefaultTenant, 10).empty());
  for (const char* message : {"1", "2", "3", "4"}) log.add(event("d", message));
  EXPECT_EQ(messages(log.recent(kDefaultTenant, 10)), (Messages{"2", "3", "4"}));
  EXPECT_EQ(messages(log.recent(kDefaultTenant, 2)), (Messages{"3", "4"}));
}

TEST(ConnectionLog, finds_what_is_about_one_device) {
  ConnectionLog log;
  log.add(event("d", "mine"));
  log.add(event("e", "other device"));
  log.add(event("d", "other tenant", {2}));
  log.add(event("d", "nobody knows whose", {0}));
  EXPECT_EQ(messages(log.recent(kDefaultTenant, "d", 10)), (Messages{"mine"}));
  EXPECT_EQ(messages(log.recent({2}, "d", 10)), (Messages{"other tenant"}));
}

TEST(ConnectionLog, shows_a_failure_that_names_no_device_with_each_of_its_tenant) {
  ConnectionLog log;
  Messages heard;
  const auto listener =
      log.listen(kDefaultTenant, "d", [&](const ConnectionEventPtr& e) { heard.push_back(e->message); });
  ConnectionEvent unnamed = event("", "malformed CONNECT");
  log.add(unnamed);  // ok: somebody else's connection
  unnamed.ok = false;
  log.add(unnamed);
  unnamed.tenant = {2};
  log.add(unnamed);
  unnamed.tenant = {0};
  log.add(unnamed);
  EXPECT_EQ(heard, (Messages{"malformed CONNECT"}));
  EXPECT_EQ(messages(log.recent(kDefaultTenant, "d", 10)), (Messages{"malformed CONNECT"}));
}

TEST(ConnectionLog, strangers_do_not_push_out_what_devices_did) {
  ConnectionLog log(40);
  for (const char* message : {"1", "2", "3"}) log.add(event("d", message));
  ConnectionEvent refused = event("d", "refused");
  refused.signed_in = false;
  for (int i = 0; i < 1000; ++i) log.add(refused);
  log.add(event("d", "4"));
  const Messages kept = messages(log.recent(kDefaultTenant, "d", 100));
  ASSERT_EQ(kept.size(), 14u);
  EXPECT_EQ((Messages{kept.begin(), kept.begin() + 3}), (Messages{"1", "2", "3"}));
  EXPECT_EQ(kept[12], "refused");
  EXPECT_EQ(kept[13], "4") << "in the order in which they came";
}

TEST(ConnectionLog, tells_those_who_listen) {
  ConnectionLog log;
  EXPECT_FALSE(log.watched(kDefaultTenant, "d"));
  Messages of_d;
  Messages of_all;
  std::optional<ConnectionLog::Subscription> one =
      log.listen(kDefaultTenant, "d", [&](const ConnectionEventPtr& e) { of_d.push_back(e->message); });
  EXPECT_TRUE(log.watched(kDefaultTenant, "d"));
  EXPECT_FALSE(log.watched(kDefaultTenant, "e"));
  const auto all = log.listen(kDefaultTenant, "", [&](const ConnectionEventPtr& e) { of_all.push_back(e->message); });
  EXPECT_TRUE(log.watched(kDefaultTenant, "e"));
  EXPECT_FALSE(log.watched({2}, "e"));
  log.add(event("d", "1"));
  log.add(event("e", "2"));
  log.add(event("d", "3", {2}));
  one.reset();
  log.add(event("d", "4"));
  EXPECT_EQ(of_d, (Messages{"1"}));
  EXPECT_EQ(of_all, (Messages{"1", "2", "4"}));
}

TEST(ConnectionLog, a_listener_may_end_itself_and_outlive_the_log) {
  std::optional<ConnectionLog::Subscription> subscription;
  ConnectionLog::Subscription survivor;
  {
    ConnectionLog log;
    int told = 0;
    subscription = log.listen(kDefaultTenant, "d", [&](const ConnectionEventPtr&) {
      ++told;
      subscription.reset();
    });
    log.add(event("d", "1"));
    log.add(event("d", "2"));
    EXPECT_EQ(told, 1);
    EXPECT_FALSE(log.watched(kDefaultTenant, "d"));
    survivor = log.listen(kDefaultTenant, "d", [](const ConnectionEventPtr&) {});
  }
}

TEST(ConnectionLog, no_call_comes_after_the_end_of_a_subscription) {
  ConnectionLog log(64);
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int i = 0; i < 2; ++i) {
    writers.emplace_back([&] {
      while (!stop) {
        if (log.watched(kDefaultTenant, "d")) log.add(event("d", "m"));
      }
    });
  }
  for (int i = 0; i < 500; ++i) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    {
      const auto subscription =
          log.listen(kDefaultTenant, "d", [state = alive.get()](const ConnectionEventPtr&) { ++*state; });
      while (*alive == 0) std::this_thread::yield();
    }
    alive.reset();  // a late call would touch freed memory: the sanitizers see it
  }
  stop = true;
  for (auto& writer : writers) writer.join();
  EXPECT_LE(log.recent(kDefaultTenant, 1000).size(), 64u);
}

}  // namespace
}  // namespace flux::registry
