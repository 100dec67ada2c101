#include "auth/listeners.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

namespace flux::auth {
namespace {

TEST(Listeners, AreToldUntilTheirSubscriptionEnds) {
  Listeners<std::string> listeners;
  std::string heard;
  std::optional<Subscription> first = listeners.add([&](const std::string& what) { heard += "1" + what; });
  const Subscription second = listeners.add([&](const std::string& what) { heard += "2" + what; });
  listeners.tell("a");
  first.reset();
  listeners.tell("b");
  EXPECT_EQ(heard, "1a2a2b");
}

TEST(Listeners, AListenerMayEndItself) {
  Listeners<> listeners;
  int calls = 0;
  Subscription subscription;
  subscription = listeners.add([&] {
    ++calls;
    subscription = {};
  });
  listeners.tell();
  listeners.tell();
  EXPECT_EQ(calls, 1);
}

TEST(Listeners, ASubscriptionMayOutliveThem) {
  Subscription subscription;
  std::weak_ptr<int> held;
  {
    Listeners<> listeners;
    auto what = std::make_shared<int>(1);
    held = what;
    subscription = listeners.add([what = std::move(what)] {});
  }
  EXPECT_FALSE(held.expired());
  subscription = {};
  EXPECT_TRUE(held.expired());  // and with it goes what the callback held
}

}  // namespace
}  // namespace flux::auth
