#include "observe/printable.h"

#include <gtest/gtest.h>

#include "observe/json.h"

namespace flux::observe {
namespace {

TEST(Printable, spells_what_steers_a_terminal) {
  EXPECT_EQ(printable("grün €𝄞 \"x\""), "grün €𝄞 \"x\"");
  EXPECT_EQ(printable("\x1b]0;title\x07\x1b[2J"), "\\u001b]0;title\\u0007\\u001b[2J");
  EXPECT_EQ(printable("a\nb\r\t\x7f"), "a\\u000ab\\u000d\\u0009\\u007f");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\u009b31m");
  EXPECT_EQ(printable("e\xE2\x80\xAE"
                      "1"),
            "e\\u202e1");
  EXPECT_EQ(printable("\xE2\x81\xA6\xE2\x80\xA8\xD8\x9C\xE2\x80\x8F"), "\\u2066\\u2028\\u061c\\u200f");
  EXPECT_EQ(printable("\xff\x9b"), "\\xff\\x9b");
  EXPECT_EQ(printable("\xC2\xA0\xE2\x80\xA2\xE2\x80\x93"), "\xC2\xA0•–");  // neighbours that are seen
}

TEST(Printable, leaves_json_the_same_to_its_readers) {
  EXPECT_EQ(printable_json("{\n \"a\": \"\xC2\x9B\xE2\x80\xAE\x7f\"\n}\n"),
            "{\n \"a\": \"\\u009b\\u202e\\u007f\"\n}\n");
}

TEST(Printable, holds_for_every_json_string_that_is_written) {
  std::string out;
  append_json_string(out,
                     "\x1b[0m\xC2\x9B"
                     "31m\xE2\x80\xAE ü");
  EXPECT_EQ(out, "\"\\u001b[0m\\u009b31m\\u202e ü\"");
}

}  // namespace
}  // namespace flux::observe
