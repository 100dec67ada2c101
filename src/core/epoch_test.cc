#include "core/epoch.h"

#include <gtest/gtest.h>

namespace flux {
namespace {

TEST(Epoch, IsParsedByItsNames) {
  EXPECT_EQ(parse_epoch("us"), Epoch::us);
  EXPECT_EQ(parse_epoch("rfc3339"), Epoch::rfc3339);
  const auto wrong = parse_epoch("m");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().field, "epoch");
}

TEST(Epoch, RoundsTowardsThePast) {
  const Time before{-1};
  const std::pair<Epoch, const char*> expected[] = {{Epoch::rfc3339, "\"1969-12-31T23:59:59.999999999Z\""},
                                                    {Epoch::s, "-1"},
                                                    {Epoch::ms, "-1"},
                                                    {Epoch::us, "-1"},
                                                    {Epoch::ns, "-1"}};
  for (const auto& [epoch, text] : expected) {
    std::string out;
    append_time(out, before, epoch);
    EXPECT_EQ(out, text);
  }
  std::string out;
  append_time(out, Time{1'767'225'600'999'999'999}, Epoch::s);
  EXPECT_EQ(out, "1767225600");
}

}  // namespace
}  // namespace flux
