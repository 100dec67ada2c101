#include "observe/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "core/ids.h"
#include "observe/json.h"

namespace flux::log {
namespace {

const Time kNoon = *parse_rfc3339("2026-01-01T12:00:00.123456789Z");

std::string json(std::string_view sentence, FieldList fields, std::uint64_t suppressed = 0) {
  return format_line(Format::json, false, kNoon, Level::info, sentence, fields, suppressed);
}

class LogTest : public testing::Test {
 protected:
  LogTest() {
    std::string folder = testing::TempDir() + "flux_log_XXXXXX";
    folder_ = ::mkdtemp(folder.data());
    path_ = folder_ / "log";
  }
  ~LogTest() override {
    stop();
    detail::threshold = Level::info;
    std::filesystem::remove_all(folder_);
  }
  std::string content() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  std::size_t lines() const {
    const std::string text = content();
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST(LogLine, IsOneJsonObject) {
  EXPECT_EQ(json("segment sealed",
                 {{"partition", PartitionId{3}},
                  {"bytes", std::uint64_t{1} << 40},
                  {"delta", -5},
                  {"ratio", 0.5},
                  {"ok", true},
                  {"name", std::string("a\"b\n")},
                  {"took", 5_ms},
                  {"at", kNoon},
                  {"level", Level::warn},
                  {"error", Error{ErrorCode::io, "disk gone", ""}}},
                 2),
            R"({"time":"2026-01-01T12:00:00.123456Z","level":"info","message":"segment sealed","partition":3,)"
            R"("bytes":1099511627776,"delta":-5,"ratio":0.5,"ok":true,"name":"a\"b\n","took":"5ms",)"
            R"("at":"2026-01-01T12:00:00.123456789Z","level":"warn","error":"disk gone","suppressed":2})");
}

TEST(LogLine, ReadsWellOnATerminal) {
  const auto line = format_line(Format::console, false, kNoon, Level::warn, "segment sealed",
                                {{"partition", 3}, {"path", "data/log"}, {"why", "too old"}, {"empty", ""}});
  EXPECT_EQ(line, R"(2026-01-01T12:00:00.123Z warn  segment sealed partition=3 path=data/log why="too old" empty="")");
  const auto colourful = format_line(Format::console, true, kNoon, Level::error, "disk full", {{"x", 1}});
  EXPECT_NE(colourful.find("\x1b[31merror\x1b[0m"), std::string::npos);
}

TEST(LogLine, NeverBreaksOutOfItsLine) {
  EXPECT_TRUE(rc::check("hostile values stay values", [](const std::string& text) {
    for (const Format format : {Format::json, Format::console}) {
      const std::string line = format_line(format, false, kNoon, Level::info, "event", {{"value", text}});
      for (const char c : line) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
    }
  }));
}

TEST(JsonString, ReplacesWhatIsNotUtf8) {
  const auto quoted = [](std::string_view text) {
    std::string out;
    observe::append_json_string(out, text);
    return out;
  };
  EXPECT_EQ(quoted("grün €𝄞"), "\"grün €𝄞\"");
  EXPECT_EQ(quoted("a\xFFz"), "\"a\xEF\xBF\xBDz\"");
  EXPECT_EQ(quoted("\xC0\xAF"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");  // overlong
  EXPECT_EQ(quoted("\xED\xA0\x80").size(), 2 + 3 * 3);            // surrogate
  EXPECT_EQ(quoted("\xE2\x82"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");  // cut off
  EXPECT_EQ(quoted(std::string_view("\0\x1f", 2)), "\"\\u0000\\u001f\"");
}

TEST_F(LogTest, WritesEveryLineOfEveryThreadWhole) {
  ASSERT_TRUE(start({.output = path_.string()}));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) info("counted", {{"thread", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  flush();
  EXPECT_EQ(lines(), 2000);
  std::istringstream text(content());
  for (std::string line; std::getline(text, line);) {
    EXPECT_TRUE(line.starts_with("{\"time\":") && line.ends_with("}")) << line;
  }
}

TEST_F(LogTest, KeepsToItsLevel) {
  ASSERT_TRUE(start({.level = Level::warn, .output = path_.string()}));
  debug("no");
  info("no");
  warn("yes");
  error("yes");
  stop();
  EXPECT_EQ(lines(), 2);
}

TEST_F(LogTest, AppendsAndReportsAPathThatCannotBeOpened) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(start({.output = path_.string()}));
    info("again");
    stop();
  }
  EXPECT_EQ(lines(), 2);
  const auto failed = start({.output = (folder_ / "no" / "such").string()});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("cannot open the log file"), std::string::npos);
}

TEST_F(LogTest, ThrottleLetsOneThroughAndCountsTheRest) {
  Throttle throttle(Duration{100});
  std::uint64_t suppressed = 99;
  EXPECT_TRUE(throttle.pass({1000}, suppressed));
  EXPECT_EQ(suppressed, 0);
  EXPECT_FALSE(throttle.pass({1001}, suppressed));
  EXPECT_FALSE(throttle.pass({1099}, suppressed));
  EXPECT_TRUE(throttle.pass({1100}, suppressed));
  EXPECT_EQ(suppressed, 2);

  ASSERT_TRUE(start({.output = path_.string()}));
  static Throttle hourly(1_h);
  for (int i = 0; i < 10; ++i) warn(hourly, "cannot reach the broker", {{"attempt", i}});
  flush();
  EXPECT_EQ(lines(), 1);
}

TEST_F(LogTest, NeverWaitsForASlowOutput) {
  // A pipe that nobody reads: the writing thread blocks, callers must not.
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  ASSERT_TRUE(start({.output = path_.string()}));
  const std::uint64_t before = dropped();
  const std::string big(1000, 'x');
  for (int i = 0; i < 10'000; ++i) info("filler", {{"big", big}});  // 10 MB into 64 KiB and the 4 MiB that may wait
  EXPECT_GT(dropped(), before + 1000);

  // Once the output moves again, the loss is told.
  std::string received;
  std::thread stopper([] { stop(); });
  ::fcntl(reader, F_SETFL, 0);
  std::array<char, 65536> chunk;
  for (ssize_t n; (n = ::read(reader, chunk.data(), chunk.size())) > 0;) {
    received.append(chunk.data(), static_cast<std::size_t>(n));
  }
  stopper.join();
  ::close(reader);
  EXPECT_NE(received.find("log lines dropped"), std::string::npos);
}

using LogDeathTest = LogTest;

TEST_F(LogDeathTest, WritesWhatIsLeftWhenAnInvariantBreaks) {
  EXPECT_DEATH(
      {
        if (!start({.output = path_.string()})) std::_Exit(1);
        for (int i = 0; i < 100; ++i) info("before the crash", {{"i", i}});
        CHECK(1 + 1 == 3);
      },
      "broken invariant");
  EXPECT_EQ(lines(), 100);
}

TEST_F(LogDeathTest, WritesWhatIsLeftAtExit) {
  EXPECT_EXIT(
      {
        if (!start({.output = path_.string()})) std::_Exit(1);
        for (int i = 0; i < 100; ++i) info("before the end", {{"i", i}});
        std::exit(0);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EQ(lines(), 100);
}

}  // namespace
}  // namespace flux::log
