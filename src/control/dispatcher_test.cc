#include "control/dispatcher.h"

#include <gtest/gtest.h>

#include <mutex>

#include "net/test_client.h"
#include "registry/test_registry.h"

namespace flux::control {
namespace {

using net::eventually;

constexpr TenantId kTenant{1};

/// Remembers what came, and says nothing by itself.
class Mailbox final : public Link {
 public:
  void deliver(const Command& command) override {
    const std::lock_guard lock(mutex_);
    got_.push_back(command);
  }
  std::vector<Command> got() {
    const std::lock_guard lock(mutex_);
    return got_;
  }

 private:
  std::mutex mutex_;
  std::vector<Command> got_;
};

class Node {
 public:
  Node() {
    shards_.start();
    for (const char* device : {"a", "b", "c"}) directory_.ensure(kTenant, device);
    open();
  }
  ~Node() {
    close();
    shards_.stop();
    shards_.join();
  }
  void open() {
    auto database = store::sqlite::open({.path = folder_.path() / "commands.db"}, metrics_);
    ASSERT_TRUE(database) << database.error().message;
    database_ = std::move(*database);
    auto opened = Dispatcher::open({*database_, directory_, shards_, metrics_}, {});
    ASSERT_TRUE(opened) << opened.error().message;
    dispatcher_ = std::move(*opened);
    ASSERT_TRUE(runtime::block_on(shards_[0], dispatcher_->start()));
  }
  void close() {
    ASSERT_TRUE(runtime::block_on(shards_[0], dispatcher_->stop()));
    dispatcher_.reset();
    database_.reset();
  }
  void restart() {
    close();
    open();
  }
  std::string send(const std::string& device, Duration ttl = 1_h, bool response = true) {
    auto sent = runtime::block_on(shards_[0], dispatcher_->send({.tenant = kTenant,
                                                                 .devices = {device},
                                                                 .name = "go",
                                                                 .ttl = ttl,
                                                                 .response = response,
                                                                 .sender = "me",
                                                                 .key = {}}));
    EXPECT_TRUE(sent) << sent.error().message;
    return sent ? sent->front().id : std::string();
  }
  State state(const std::string& id) {
    const auto command = runtime::block_on(shards_[0], dispatcher_->get(kTenant, id));
    EXPECT_TRUE(command);
    return command->state;
  }
  std::shared_ptr<Mailbox> attach(const std::string& device) {
    auto link = std::make_shared<Mailbox>();
    dispatcher_->attach(kTenant, device, link);
    return link;
  }
  Dispatcher* operator->() { return dispatcher_.get(); }
  metrics::Registry& metrics() { return metrics_; }

 private:
  registry::TestFolder folder_;
  metrics::Registry metrics_;
  runtime::Shards shards_{2};
  registry::Directory directory_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Dispatcher> dispatcher_;
};

TEST(Dispatcher, sends_one_at_a_time_in_order) {
  Node node;
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(node.send("a"));
  const auto link = node.attach("a");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ASSERT_TRUE(eventually([&] { return link->got().size() == i + 1; }));
    EXPECT_EQ(link->got()[i].id, ids[i]);
    if (i + 1 < ids.size()) EXPECT_EQ(node.state(ids[i + 1]), State::queued);
    node->received(kTenant, "a", ids[i]);
  }
  EXPECT_TRUE(eventually([&] { return node.metrics().value("fluxgate_control_in_flight") == 0; }));
  const std::string late = node.send("a");
  EXPECT_TRUE(eventually([&] { return link->got().size() == 6; }));
  EXPECT_EQ(link->got().back().id, late);
}

TEST(Dispatcher, sends_again_what_was_not_confirmed_to_the_newest_link) {
  Node node;
  const std::string id = node.send("a");
  const auto first = node.attach("a");
  ASSERT_TRUE(eventually([&] { return first->got().size() == 1; }));
  const auto second = node.attach("a");  // the first is gone and does not know it
  ASSERT_TRUE(eventually([&] { return second->got().size() == 1; }));
  EXPECT_EQ(second->got()[0].id, id);
  EXPECT_EQ(second->got()[0].deliveries, 2u);
  node->detach(kTenant, "a", second);
  ASSERT_TRUE(eventually([&] { return first->got().size() == 2; }));
  node->received(kTenant, "a", id);
  EXPECT_TRUE(eventually([&] { return node.state(id) == State::delivered; }));
  node->detach(kTenant, "a", first);
  EXPECT_EQ(first->got().size(), 2u);
}

TEST(Dispatcher, goes_on_after_a_restart) {
  Node node;
  const std::string sent = node.send("a");
  const std::string queued = node.send("a");
  const auto link = node.attach("a");
  ASSERT_TRUE(eventually([&] { return link->got().size() == 1; }));
  const std::string short_lived = node.send("b", 1_s);
  node.restart();
  EXPECT_EQ(node.state(sent), State::sent);
  EXPECT_EQ(node.state(queued), State::queued);
  EXPECT_TRUE(eventually([&] { return node.state(short_lived) == State::expired; }));
  const auto again = node.attach("a");
  ASSERT_TRUE(eventually([&] { return again->got().size() == 1; }));
  EXPECT_EQ(again->got()[0].id, sent);
  EXPECT_EQ(node.metrics().value("fluxgate_control_commands", {{"state", "sent"}}), 1);
}

TEST(Dispatcher, goes_on_when_one_on_its_way_expires) {
  Node node;
  const std::string first = node.send("a", 1_s);
  const std::string second = node.send("a");
  const auto link = node.attach("a");
  ASSERT_TRUE(eventually([&] { return link->got().size() == 2; }));
  EXPECT_EQ(link->got()[1].id, second);
  EXPECT_EQ(node.state(first), State::expired);
  node->received(kTenant, "a", first);  // late: it is noted, and stays expired
  node->received(kTenant, "a", second);
  EXPECT_TRUE(eventually([&] { return node.state(second) == State::delivered; }));
  EXPECT_EQ(node.state(first), State::expired);
}

TEST(Dispatcher, a_refused_message_fails_and_the_next_goes_out) {
  Node node;
  const std::string first = node.send("a");
  const std::string second = node.send("a", 1_h, false);
  const auto link = node.attach("a");
  ASSERT_TRUE(eventually([&] { return link->got().size() == 1; }));
  node->refused(kTenant, "a", first, true, "payload format invalid");
  ASSERT_TRUE(eventually([&] { return link->got().size() == 2; }));
  EXPECT_EQ(node.state(first), State::failed);
  node->received(kTenant, "a", second);
  EXPECT_TRUE(eventually(
      [&] { return node.metrics().value("fluxgate_control_finished_total", {{"state", "delivered"}}) == 1; }));
}

}  // namespace
}  // namespace flux::control
