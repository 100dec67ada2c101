#include "wire/line/line_reader.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "wire/line/reference.h"
#include "wire/line/testing.h"

namespace flux::wire::line {
namespace {

using testing::Body;
using testing::FakeSink;
using testing::Reference;

struct Fixture {
  std::vector<std::string> read(std::string_view text, Precision precision = Precision::ns) {
    const Body body(text);
    reader.read(body.view(), precision, cache, sink, outcome);
    return sink.rows();
  }
  /// "line:column cause" of what was refused.
  std::vector<std::string> refusals() const {
    std::vector<std::string> out;
    for (const auto& refusal : outcome.refusals)
      out.push_back(std::to_string(refusal.line) + ":" + std::to_string(refusal.column) + " " + refusal.error.message);
    return out;
  }
  LineReader reader;
  SeriesCache cache{1'000};
  FakeSink sink;
  Outcome outcome;
};

using Strings = std::vector<std::string>;

std::string f(double value) { return std::to_string(to_cell(value)) + "f"; }

TEST(LineReader, ReadsALine) {
  Fixture t;
  EXPECT_EQ(t.read("weather,location=us-midwest,season=summer temperature=82,rain=f,n=3i,m=4u,sky=\"blue\" "
                   "1465839830100400200\n"),
            Strings{"[weather],[location]=[us-midwest],[season]=[summer] [m]=4u [n]=3i [rain]=false [sky]='blue' "
                    "[temperature]=" +
                    f(82) + " 1465839830100400200"});
  EXPECT_EQ(t.outcome.readings, 5U);
}

TEST(LineReader, KnownSeriesCostNoNewShape) {
  Fixture t;
  std::string body;
  for (int i = 0; i < 100; ++i)
    for (const char* host : {"a", "b", "c"})
      body += std::string("cpu,host=") + host + " u=" + std::to_string(i) + "i,v=1.5 " + std::to_string(i) + "\n";
  EXPECT_EQ(t.read(body).size(), 300U);
  EXPECT_EQ(t.sink.opened, 3);
  EXPECT_EQ(t.sink.shapes, 3);
  EXPECT_EQ(t.read(body).size(), 300U);
  EXPECT_EQ(t.sink.shapes, 3);
}

TEST(LineReader, MissingFieldsShareTheShapeWhenTheyAreFew) {
  Fixture t;
  t.read("m a=1,b=2,c=3,d=4 1\n");
  EXPECT_EQ(t.read("m a=1,c=3,d=4 2\nm b=1 3\nm d=1,a=2,b=3,c=4 4\nm d=1,a=2,b=3,c=4 5"),
            (Strings{"[m] [a]=" + f(1) + " [c]=" + f(3) + " [d]=" + f(4) + " 2", "[m] [b]=" + f(1) + " 3",
                     "[m] [a]=" + f(2) + " [b]=" + f(3) + " [c]=" + f(4) + " [d]=" + f(1) + " 4",
                     "[m] [a]=" + f(2) + " [b]=" + f(3) + " [c]=" + f(4) + " [d]=" + f(1) + " 5"}));
  EXPECT_EQ(t.sink.shapes, 1);
  t.read("m e=1 6\n");
  EXPECT_EQ(t.sink.shapes, 2) << "five fields for one would be mostly holes";
}

TEST(LineReader, EscapesAsInfluxDoes) {
  Fixture t;
  for (int i = 0; i < 2; ++i) {  // new, then known
    EXPECT_EQ(t.read(R"(my\ me\,a\=s,tag\ 1=a\ b\,c\=d\e,p=C:\x f\ 1\,\=\"="a \"b\" \\ \n c" 5)"),
              Strings{R"([my me,a\=s],[p]=[C:\x],[tag 1]=[a b,c=d\e] [f 1,="]='a "b" \ \n c' 5)"});
    EXPECT_TRUE(t.refusals().empty());
  }
}

TEST(LineReader, NewlinesInStringsBelongToThem) {
  Fixture t;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(t.read("m s=\"one\ntwo, = \\\" \nthree\" 1\nm s=\"x\" 2\nm s=1x 3\n"),
              (Strings{"[m] [s]='one\ntwo, = \" \nthree' 1", "[m] [s]='x' 2"}));
    EXPECT_EQ(t.refusals(), Strings{"5:5 invalid number"});
  }
}

TEST(LineReader, NewlinesInNamesAreCounted) {
  Fixture t;
  for (int i = 0; i < 3; ++i) {
    t.read("m\\\nx v=1 1\nm\\\nx v=1 1\nm a\\\nb=1 1\nm a\\\nb=1 1\nbad\n");
    EXPECT_EQ(t.outcome.rows, 4U);
    EXPECT_EQ(t.refusals(), Strings{"9:4 missing fields"});
  }
}

TEST(LineReader, TheLastLineNeedsNoNewlineEvenBehindAStringThatHasSome) {
  Fixture t;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(t.read("m s=\"one\ntwo\"").size(), 1U);
  Fixture other;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(other.read("m s=\"one\ntwo\" 7"), Strings{"[m] [s]='one\ntwo' 7"});
}

TEST(LineReader, AStringThatIsNeverClosedCostsItsLine) {
  Fixture t;
  EXPECT_EQ(t.read("m s=\"open 1\nm v=1 2\n"), Strings{"[m] [v]=" + f(1) + " 2"});
  EXPECT_EQ(t.refusals(), Strings{"1:5 unbalanced quotes"});
}

TEST(LineReader, CommentsBlankLinesAndCarriageReturns) {
  Fixture t;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(t.read("# it's \"a=\"x\r\n\r\n  \t\n  m v=1 1\r\nm v=2 2\r\n#\nm v=3\r\n").size(), 3U);
    EXPECT_TRUE(t.refusals().empty());
    EXPECT_EQ(t.outcome.lines, 7U);
  }
}

TEST(LineReader, Booleans) {
  Fixture t;
  EXPECT_EQ(t.read("m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE 1\n"),
            Strings{"[m] [a]=true [b]=true [c]=true [d]=true [e]=true [f]=false [g]=false [h]=false [i]=false "
                    "[j]=false 1"});
  for (const char* wrong : {"tRUE", "truE", "tt", "fALSE", "falsey", "yes", "+1"}) {
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(t.read(std::string("m a=") + wrong + " 1\n").empty()) << wrong;
      EXPECT_EQ(t.refusals(), Strings{"1:5 invalid boolean"});
    }
  }
}

TEST(LineReader, TimesInEachPrecision) {
  const std::pair<Precision, std::int64_t> units[] = {{Precision::ns, 1},
                                                      {Precision::us, 1'000},
                                                      {Precision::ms, 1'000'000},
                                                      {Precision::s, 1'000'000'000},
                                                      {Precision::m, 60'000'000'000},
                                                      {Precision::h, 3'600'000'000'000}};
  Fixture t;
  for (const auto& [precision, unit] : units) {
    for (const std::int64_t time : {0L, 1L, -1L, 123'456L, -987'654L})
      for (int i = 0; i < 2; ++i)
        EXPECT_EQ(t.read("m v=1i " + std::to_string(time) + "\n", precision),
                  Strings{"[m] [v]=1i " + std::to_string(time * unit)});
  }
  EXPECT_EQ(t.read("m v=1i 9223372036854775806\nm v=1i -9223372036854775806\n").size(), 2U);
  EXPECT_TRUE(t.read("m v=1i 9223372036854775807\nm v=1i -9223372036854775807\nm v=1i 99999999999999999999\nm v=1i -\n"
                     "m v=1i 1 2\nm v=1i 1x\nm v=1i 1.0\n")
                  .empty());
  EXPECT_EQ(t.refusals(), (Strings{"1:8 time outside range -9223372036854775806 - 9223372036854775806",
                                   "2:8 time outside range -9223372036854775806 - 9223372036854775806",
                                   "3:8 strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
                                   "4:8 strconv.ParseInt: parsing \"-\": invalid syntax", "5:10 point is invalid",
                                   "6:9 bad timestamp", "7:9 bad timestamp"}));
  EXPECT_TRUE(t.read("m v=1i 9223372036854775\n", Precision::s).empty());
}

TEST(LineReader, ErrorsNameLineColumnAndCauseAndTheRestIsStored) {
  Fixture t;
  const Strings rows = t.read(
      "ok v=1 1\n"
      ",tag=a v=1\n"
      "m,=a v=1\n"
      "m,a= v=1\n"
      "m,a v=1\n"
      "m,a=b=c v=1\n"
      "m,a=1,a=2 v=1\n"
      "m\n"
      "m,a=b\n"
      "m \n"
      "m v\n"
      "m =1\n"
      "m v=\n"
      "m v=1,\n"
      "m v=1,=2\n"
      "  m v=1.2.3\n"
      "m v=1i0\n"
      "m v=9223372036854775808i\n"
      "m v=-1u\n"
      "m v=NaN\n"
      "m v=1e400\n"
      "m v=\"x\"y\n"
      "forbidden v=1\n"
      "m v=2 2\n"
      "m v=2i 3\n");
  EXPECT_EQ(rows.size(), 2U);
  EXPECT_EQ(t.refusals(), (Strings{"2:1 missing measurement",
                                   "3:3 missing tag key",
                                   "4:5 missing tag value",
                                   "5:4 missing tag value",
                                   "6:6 invalid tag format",
                                   "7:2 duplicate tags",
                                   "8:2 missing fields",
                                   "9:6 missing fields",
                                   "10:3 missing fields",
                                   "11:4 invalid field format",
                                   "12:3 missing field key",
                                   "13:5 missing field value",
                                   "14:7 invalid field format",
                                   "15:7 missing field key",
                                   "16:7 invalid number",
                                   "17:5 invalid number",
                                   "18:5 unable to parse integer 9223372036854775808: strconv.ParseInt: parsing "
                                   "\"9223372036854775808\": value out of range",
                                   "19:5 invalid number",
                                   "20:5 invalid number",
                                   "21:5 invalid float",
                                   "22:8 invalid field format",
                                   "23:1 not yours",
                                   "25:3 field type conflict"}));
  EXPECT_EQ(t.outcome.refused, 23U);
  EXPECT_EQ(t.outcome.dropped, 2U);
  EXPECT_EQ(t.outcome.refusals.back().text, "m v=2i 3");
}

TEST(LineReader, OfAFieldThatComesTwiceTheLastCounts) {
  Fixture t;
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(t.read("m a=1,b=2,a=3,b=4i,b=5 1\n"), Strings{"[m] [a]=" + f(3) + " [b]=" + f(5) + " 1"});
}

TEST(LineReader, ASeriesThatIsAcceptedNoMoreIsOpenedAgain) {
  Fixture t;
  t.read("m v=1 1\n");
  t.sink.generation = 1;
  EXPECT_EQ(t.read("m v=1 2\nm v=1 3\n").size(), 2U);
  EXPECT_EQ(t.sink.opened, 2);
}

TEST(LineReader, TheCacheStaysSmall) {
  Fixture t;
  SeriesCache cache(8);
  for (int round = 0; round < 3; ++round) {
    std::string body;
    for (int i = 0; i < 50; ++i) body += "m,host=h" + std::to_string(i) + " v=1 1\n";
    const Body padded(body);
    t.reader.read(padded.view(), Precision::ns, cache, t.sink, t.outcome);
    EXPECT_EQ(t.sink.rows().size(), 50U);
    EXPECT_EQ(cache.size(), 8U);
  }
}

/// Numbers of all kinds read as the nearest double, quickly or not.
RC_GTEST_PROP(LineReader, FloatsAreExact, ()) {
  double value = 0;
  switch (*rc::gen::inRange(0, 3)) {
    case 0: value = std::bit_cast<double>(*rc::gen::arbitrary<std::uint64_t>()); break;
    case 1: value = static_cast<double>(*rc::gen::inRange(-1'000'000, 1'000'000)) / 1e3; break;
    default: value = std::ldexp(static_cast<double>(*rc::gen::arbitrary<std::int64_t>()), *rc::gen::inRange(-80, 20));
  }
  RC_PRE(std::isfinite(value));
  char text[512];
  const auto form = *rc::gen::elementOf(
      std::vector{std::chars_format::general, std::chars_format::scientific, std::chars_format::fixed});
  const char* const end = std::to_chars(text, text + sizeof text, value, form).ptr;
  Fixture t;
  for (int i = 0; i < 2; ++i)
    RC_ASSERT(t.read("m v=" + std::string(text, static_cast<std::size_t>(end - text)) + " 1") ==
              Strings{"[m] [v]=" + f(value) + " 1"});
}

TEST(LineReader, FloatsAtTheEdges) {
  Fixture t;
  t.read("m v=0 1");
  const std::pair<const char*, double> cases[] = {{"1.", 1},
                                                  {".5", 0.5},
                                                  {"-.5", -0.5},
                                                  {"-0", -0.0},
                                                  {"9007199254740993", 9007199254740992.0},
                                                  {"0.1", 0.1},
                                                  {"1e-400", 0.0},
                                                  {"-1e-400", -0.0},
                                                  {"5e-324", 5e-324},
                                                  {"1E+3", 1000},
                                                  {"123456789012345678901234567890", 123456789012345678901234567890.0},
                                                  {"0.000000000000000000000000000000000000001", 1e-39},
                                                  {"1.7976931348623157e308", std::numeric_limits<double>::max()}};
  for (const auto& [text, value] : cases)
    EXPECT_EQ(t.read(std::string("m v=") + text + " 1"), Strings{"[m] [v]=" + f(value) + " 1"}) << text;
  for (const char* wrong : {".", "-", "-.", "1e", "e1", "1e5e5", "1e5.5", "1-2", "0x10", "1_0", "--1", "inf", "1e309"})
    EXPECT_TRUE(t.read(std::string("m v=") + wrong + " 1").empty()) << wrong;
}

/// Lines that are mostly right, and bytes that are mostly not.
std::string some_body() {
  const auto pick = [](std::initializer_list<const char*> of) {
    return std::string(*rc::gen::elementOf(std::vector<const char*>(of)));
  };
  std::string body;
  const int lines = *rc::gen::inRange(0, 12);
  for (int i = 0; i < lines; ++i) {
    body += pick({"", "", "", " ", "#", "\t"});
    body += pick({"m", "cpu", "m\\ x", "m\\,y", "a=b", "m\\\\", "\""});
    for (int k = *rc::gen::inRange(0, 3); k > 0; --k)
      body +=
          "," + pick({"host", "a", "b\\ c", "d\\=e", "=", ""}) + "=" + pick({"x", "y\\,z", "q\"r", "p\\\\", "", "u v"});
    body += pick({" ", " ", " ", " ", "  ", "", "\\ "});
    for (int k = *rc::gen::inRange(0, 4); k >= 0; --k) {
      body += pick({"v", "w", "f\\ g", "h\\,\\=", "\"k\"", "x", ""}) + pick({"=", "=", "=", "=", "=", ""});
      body += pick({"1", "2.5", "-3i", "12345678901i", "7u", "t", "False", "\"s\"", "\"a\\\"b,c =\nd\"", "\"\\\\\"",
                    "\"open", "1e5", "-0.001", "bad", "", "nan", "99999999999999999999i"});
      if (k > 0) body += pick({",", ",", ",", ",", ",,", " "});
    }
    body += pick({"", " 1", " 1740787200000000000", " -5", " 12x", "  7 ", " 9223372036854775807", " "});
    body += pick({"\n", "\n", "\n", "\r\n", "\n\n", "\\\n"});
  }
  if (!body.empty() && *rc::gen::inRange(0, 2) == 0)
    for (int k = *rc::gen::inRange(1, 4); k > 0; --k)
      body[*rc::gen::inRange<std::size_t>(0, body.size())] = *rc::gen::elementOf(std::string(" ,=\"\\\n#i0\0a", 11));
  return body;
}

RC_GTEST_PROP(LineReader, ReadsWhatAPlainReaderReads, ()) {
  const std::string body = some_body();
  const Precision precision = *rc::gen::elementOf(std::vector{Precision::ns, Precision::ms, Precision::h});
  Fixture t;
  Reference reference;
  for (int round = 0; round < 3; ++round) {  // all is new, then all is known
    Strings rows = t.read(body, precision);
    reference.rows.clear();
    reference.bad.clear();
    reference.read(body, precision);
    std::ranges::sort(rows);
    std::ranges::sort(reference.rows);
    RC_ASSERT(rows == reference.rows);
    Strings refusals;
    for (const auto& refusal : t.outcome.refusals)
      if (!refusal.dropped)
        refusals.push_back(std::to_string(refusal.line) + ":" + std::to_string(refusal.column) + " " +
                           refusal.error.message);
    RC_ASSERT(refusals == reference.bad);
  }
}

}  // namespace
}  // namespace flux::wire::line
