#include "wire/line/scan.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

#include "wire/line/testing.h"

namespace flux::wire::line {
namespace {

/// Text in which what matters is frequent.
std::string any_text() {
  return *rc::gen::container<std::string>(
      rc::gen::oneOf(rc::gen::elementOf(std::string(" \\\n\",=aab")), rc::gen::arbitrary<char>()));
}

RC_GTEST_PROP(LineScan, VectorsFindWhatTheirScalarTwinsFind, ()) {
  const std::string text = any_text() + std::string(*rc::gen::inRange(0, 130), 'x') + any_text();
  const testing::Body body(text);
  const std::string_view all = body.view();
  const auto from = *rc::gen::inRange<std::size_t>(0, all.size() + 1);
  const char* const at = all.data() + from;
  const char* const end = all.data() + all.size();
  RC_ASSERT(find_key_end(at, end) - at == scalar::find_key_end(at, end) - at);
  RC_ASSERT(find_quote_or_backslash(at, end) - at == scalar::find_quote_or_backslash(at, end) - at);
}

RC_GTEST_PROP(LineScan, EqualBytesAreTheSame, ()) {
  const std::string text = any_text();
  const testing::Body one(text);
  std::string other = text;
  if (!other.empty() && *rc::gen::arbitrary<bool>()) other[*rc::gen::inRange<std::size_t>(0, other.size())] ^= 1;
  const testing::Body two(other + "behind");
  RC_ASSERT(same(one.view().data(), two.view().data(), text.size()) ==
            scalar::same(one.view().data(), two.view().data(), text.size()));
}

RC_GTEST_PROP(LineScan, EightDigits, ()) {
  std::string text = *rc::gen::container<std::string>(8, rc::gen::elementOf(std::string("0123456789")));
  if (*rc::gen::inRange(0, 3) == 0) text[*rc::gen::inRange<std::size_t>(0, 8)] = *rc::gen::arbitrary<char>();
  std::uint64_t quick = 0;
  std::uint64_t slow = 0;
  const bool is = eight_digits(text.data(), quick);
  RC_ASSERT(is == scalar::eight_digits(text.data(), slow));
  if (is) RC_ASSERT(quick == slow);
}

TEST(LineScan, EachByteIsToldFromADigit) {
  for (int place = 0; place < 8; ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = "12345678";
      text[static_cast<std::size_t>(place)] = static_cast<char>(byte);
      std::uint64_t quick = 0;
      std::uint64_t slow = 0;
      ASSERT_EQ(eight_digits(text.data(), quick), scalar::eight_digits(text.data(), slow)) << place << " " << byte;
    }
  }
}

}  // namespace
}  // namespace flux::wire::line
