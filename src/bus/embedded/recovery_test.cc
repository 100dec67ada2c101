// The log opened on files that a crash or a bad disk has left.

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "bus/embedded/segment_format.h"
#include "bus/embedded/testing/log_harness.h"

namespace flux::bus::embedded {
namespace {

constexpr const char* kSegment = "log/raw-sensor-data/0/00000000000000000000.seg";

struct Written {
  std::map<std::string, std::string> contents;   // the files
  std::map<std::uint64_t, std::string> records;  // what was acknowledged
  std::map<std::uint64_t, std::uint64_t> ends;   // where each record batch of the first segment ends
};

/// A log of record batches with one record each: batches with strings, with shapes defined here and there, events.
Written write_log(bool killed, std::uint64_t segment_bytes = 128_MiB, int count = 12) {
  Config config;
  config.group_bytes = 1;
  config.segment_bytes = segment_bytes;
  LogHarness log(config);
  EXPECT_TRUE(log.open());
  Written written;
  for (int i = 0; i < count; ++i) {
    Record record = i % 3 == 2 ? conformance_event("event " + std::to_string(i))
                               : Record{.batch = conformance_batch(i, 2, "device-" + std::to_string(i / 4))};
    if (i % 4 == 1) record.origin = Origin{{{0}, {static_cast<std::uint64_t>(i)}}, 1};
    const std::string says = LogHarness::say(record);
    const auto offset = log.publish(std::move(record));
    EXPECT_TRUE(offset);
    written.records[offset->value] = says;
    written.ends[offset->value] = log.bus().info(Topic::raw_sensor_data, {0})->bytes;
  }
  if (killed) log.kill();
  else log.close();
  written.contents = log.disk().contents();
  return written;
}

TEST(EmbeddedRecovery, EveryTruncationOfTheLastSegmentKeepsWhatIsWhole) {
  const Quiet quiet;
  for (const bool killed : {true, false}) {
    const Written written = write_log(killed);
    const std::string whole = written.contents.at(kSegment);
    const std::size_t reach = std::min<std::size_t>(whole.size(), written.ends.at(11) + 200);
    for (std::size_t size = 0; size <= reach; ++size) {
      SCOPED_TRACE("truncated to " + std::to_string(size));
      auto contents = written.contents;
      contents[kSegment] = whole.substr(0, size);
      LogHarness log({}, contents);
      ASSERT_TRUE(log.open());
      const auto found = log.read_all();
      std::map<std::uint64_t, std::string> expected;
      for (const auto& [offset, says] : written.records)
        if (written.ends.at(offset) <= size) expected[offset] = says;
      ASSERT_EQ(found.records, expected);
      ASSERT_TRUE(found.damages.empty()) << found.damages[0].message;
      if (size % 8 != 0) continue;
      // And it goes on from there, through another crash.
      const auto next = log.publish(conformance_event("next"));
      ASSERT_EQ(next, Offset{expected.size()});
      log.kill();
      ASSERT_TRUE(log.open());
      expected[next->value] = "next";
      ASSERT_EQ(log.read_all().records, expected);
    }
  }
}

TEST(EmbeddedRecovery, AnEmptiedLastSegmentIsMissedByThoseWhoHaveReadIt) {
  const Quiet quiet;
  for (const bool zeroed : {false, true}) {
    for (const bool by_group : {true, false}) {
      SCOPED_TRACE(std::string(zeroed ? "zeroed" : "emptied") + (by_group ? ", a group" : ", what was made of it"));
      LogHarness log;
      ASSERT_TRUE(log.open());
      for (int i = 0; i < 5; ++i) ASSERT_TRUE(log.publish(conformance_event("event " + std::to_string(i))));
      if (by_group) {
        log.bus().commit("readers", Topic::raw_sensor_data, {0}, {4});
      } else {
        Record made = conformance_event("made");
        made.origin = Origin{{{0}, {3}}, 0};
        ASSERT_TRUE(log.publish(Topic::processed_data, std::move(made)));
      }
      log.close();
      auto contents = log.disk().contents();
      std::string& segment = contents.at(kSegment);
      segment = zeroed ? std::string(segment.size(), '\0') : std::string();
      LogHarness again({}, contents);
      ASSERT_TRUE(again.open());
      EXPECT_EQ(again.metrics().value("fluxgate_bus_lost_records_total"), 4);
      EXPECT_EQ(again.publish(conformance_event("next")), Offset{4});
    }
  }
}

TEST(EmbeddedRecovery, ASegmentThatAPowerCutBringsBackHidesNothing) {
  const Quiet quiet;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {  // whether it comes back is chance
    SCOPED_TRACE(seed);
    LogHarness log({}, {}, seed);
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(log.publish(conformance_event("event " + std::to_string(i))));
    log.disk().set_faults({.sync = 1});
    const auto unknown = log.publish(conformance_event("event 4"));
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::io);
    log.disk().set_faults({});
    // Its successor was begun, taken away to begin it again, and there the process ended.
    std::byte header[kSegmentHeaderBytes];
    put_segment_header(
        {.topic = Topic::raw_sensor_data, .partition = {0}, .base = {4}, .created_at = wall_now(), .salt = 7}, header);
    const std::string second = "log/raw-sensor-data/0/" + segment_name({4});
    log.disk().put(second, std::string(reinterpret_cast<const char*>(header), sizeof header));
    ASSERT_TRUE(SimFiles(log.disk()).remove(second));
    log.kill();
    ASSERT_TRUE(log.open());
    ASSERT_EQ(log.read_all().records.size(), 5U);  // whoever reads it now counts on it
    log.disk().cut_power();
    ASSERT_TRUE(log.open());
    ASSERT_EQ(log.read_all().records.size(), 5U);
  }
}

TEST(EmbeddedRecovery, TruncationOfAnEarlierSegmentIsReportedNotHidden) {
  const Quiet quiet;
  const Written written = write_log(true, 700);
  std::size_t segments = 0;
  for (const auto& [path, bytes] : written.contents) {
    const auto base = base_of_segment(std::filesystem::path(path).filename().string());
    if (!base) continue;
    ++segments;
    const auto after = std::next(written.contents.find(path));
    if (after == written.contents.end()) continue;  // the last
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      SCOPED_TRACE(path + " of " + std::to_string(bytes.size()) + " truncated to " + std::to_string(size));
      auto contents = written.contents;
      contents[path] = bytes.substr(0, size);
      LogHarness log({}, contents);
      ASSERT_TRUE(log.open());
      const auto found = log.read_all();
      for (const auto& [offset, says] : found.records) ASSERT_EQ(says, written.records.at(offset));
      ASSERT_EQ(found.records.size() + found.lost, written.records.size());
      // All but the seal: then nothing is lost.
      if (size + kBatchHeaderBytes < bytes.size()) {
        ASSERT_GT(found.lost, 0U);
        ASSERT_NE(found.damages[0].message.find(std::filesystem::path(path).filename().string()), std::string::npos);
        ASSERT_NE(found.damages[0].message.find("byte "), std::string::npos);
      }
    }
  }
  EXPECT_GE(segments, 3U);
}

/// Whatever a flipped bit hits: an error that says where, or the true records, and never another value.
void expect_flips_survived(const Written& written, const std::string& path, bool sealed) {
  std::random_device device;
  const char* chosen = std::getenv("FLUX_SEED");
  const std::uint64_t seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : device();
  SCOPED_TRACE("FLUX_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string& whole = written.contents.at(path);
  const std::size_t reach = std::min<std::size_t>(whole.size(), 6000);
  for (std::size_t at = random() % 8; at < reach; at += 1 + random() % 8) {
    SCOPED_TRACE(path + ": bit flipped in byte " + std::to_string(at));
    auto contents = written.contents;
    contents[path][at] = static_cast<char>(contents[path][at] ^ (1 << (random() % 8)));
    LogHarness log({}, contents);
    if (const auto opened = log.open(); !opened) {
      ASSERT_EQ(opened.error().code, ErrorCode::corrupt) << opened.error().message;
      continue;
    }
    const auto found = log.read_all();
    for (const auto& [offset, says] : found.records) ASSERT_EQ(says, written.records.at(offset));
    if (sealed) {  // nothing can pass for a torn tail
      ASSERT_EQ(found.records.size() + found.lost, written.records.size());
    } else {  // only the newest record batch can
      ASSERT_GE(found.records.size() + found.lost + 1, written.records.size());
    }
    ASSERT_EQ(found.lost > 0, !found.damages.empty());
  }
}

TEST(EmbeddedRecovery, FlippedBitsInASealedSegment) {
  const Quiet quiet;
  expect_flips_survived(write_log(false), kSegment, true);
}

TEST(EmbeddedRecovery, FlippedBitsInTheLastSegmentAfterACrash) {
  const Quiet quiet;
  expect_flips_survived(write_log(true), kSegment, false);
}

TEST(EmbeddedRecovery, FlippedBitsInAnEarlierSegment) {
  const Quiet quiet;
  expect_flips_survived(write_log(true, 700), kSegment, true);
}

TEST(EmbeddedRecovery, FlippedBitsInTheOtherFiles) {
  const Quiet quiet;
  LogHarness before;
  ASSERT_TRUE(before.open());
  ASSERT_TRUE(before.publish(conformance_event("x")));
  before.bus().commit("process", Topic::raw_sensor_data, {0}, {1});
  before.close();
  const auto contents = before.disk().contents();
  for (const char* path : {"log/meta", "log/groups"}) {
    ASSERT_TRUE(contents.contains(path));
    for (std::size_t at = 0; at < contents.at(path).size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        auto changed = contents;
        changed[path][at] = static_cast<char>(changed[path][at] ^ (1 << bit));
        LogHarness log({}, changed);
        const auto opened = log.open();
        ASSERT_FALSE(opened) << path << " byte " << at;
        ASSERT_EQ(opened.error().code, ErrorCode::corrupt);
        ASSERT_NE(opened.error().message.find(path), std::string::npos);
      }
    }
    for (std::size_t size = 0; size < contents.at(path).size(); ++size) {
      auto changed = contents;
      changed[path].resize(size);
      LogHarness log({}, changed);
      ASSERT_FALSE(log.open()) << path << " truncated to " << size;
    }
  }
}

TEST(EmbeddedRecovery, ASealIsTheEndOfItsFile) {
  for (const auto& [path, bytes] : write_log(false, 700).contents) {
    if (!path.ends_with(".seg")) continue;
    const auto salt = read_segment_header(std::as_bytes(std::span(bytes)), path)->salt;
    const auto last = read_batch_header(std::as_bytes(std::span(bytes)).last(kBatchHeaderBytes), salt);
    ASSERT_TRUE(last) << path;
    EXPECT_TRUE(last->is(BatchHeader::kSeal));
    EXPECT_EQ(last->synced, last->base);
  }
}

TEST(EmbeddedRecovery, OffsetsThatAGroupHasSeenAreNotGivenAgain) {
  const Quiet quiet;
  LogHarness before;
  ASSERT_TRUE(before.open());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(before.publish(conformance_event("x")));
  before.bus().commit("process", Topic::raw_sensor_data, {0}, {5});
  before.close();
  auto contents = before.disk().contents();
  contents.erase(kSegment);  // somebody tidied up
  LogHarness log({}, contents);
  ASSERT_TRUE(log.open());
  EXPECT_EQ(log.publish(conformance_event("y")), Offset{5});
}

TEST(EmbeddedRecovery, CountsWhatItCutsFromATornTail) {
  const Quiet quiet;
  const Written written = write_log(true);
  auto contents = written.contents;
  // A record batch whose middle was never written.
  contents[kSegment].replace(written.ends.at(11) - 40, 16, std::string(16, '\0'));
  LogHarness log({}, contents);
  ASSERT_TRUE(log.open());
  EXPECT_EQ(log.read_all().records.size(), 11U);
  EXPECT_EQ(log.metrics().value("fluxgate_bus_recovery_cut_bytes_total"),
            static_cast<double>(written.ends.at(11) - written.ends.at(10)));
}

TEST(EmbeddedRecovery, BytesThatLookLikeARecordBatchAreNotOne) {
  // A device sends what another segment's record batch looks like, and the power goes while that is being written.
  const Quiet quiet;
  const Written other = write_log(true);
  const std::string& segment = other.contents.at(kSegment);
  const std::string forged = segment.substr(other.ends.at(3), other.ends.at(11) - other.ends.at(3));
  LogHarness before;
  ASSERT_TRUE(before.open());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(before.publish(conformance_event("x")));
  const std::uint64_t whole = before.bus().info(Topic::raw_sensor_data, {0})->bytes;
  ASSERT_TRUE(before.publish(conformance_event(forged)));
  before.kill();
  auto contents = before.disk().contents();
  contents[kSegment][whole + 20] ^= 1;
  LogHarness log({}, contents);
  ASSERT_TRUE(log.open());
  const auto found = log.read_all();
  EXPECT_EQ(found.records.size(), 4U);
  EXPECT_TRUE(found.damages.empty());
}

TEST(SegmentFormat, GoldenBytes) {
  std::byte bytes[kSegmentHeaderBytes];
  put_segment_header({.topic = Topic::alerts, .partition = {2}, .base = {258}, .created_at = Time{3}, .salt = 4},
                     bytes);
  const auto hex = [](std::span<const std::byte> of) {
    std::string text;
    for (const std::byte each : of) {
      constexpr char kDigits[] = "0123456789abcdef";
      text += kDigits[std::to_integer<int>(each) >> 4];
      text += kDigits[std::to_integer<int>(each) & 15];
    }
    return text;
  };
  EXPECT_EQ(hex(std::span(bytes).first(56)),
            "464c55585345470a"
            "01000000"
            "00000000"
            "000000000000000000000000"
            "00000000"
            "0201000000000000"
            "0300000000000000"
            "04000000"
            "0200"
            "03"
            "00");
  const auto header = read_segment_header(bytes, "x");
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->base, Offset{258});
  EXPECT_EQ(header->topic, Topic::alerts);
  EXPECT_EQ(header->salt, 4U);

  std::byte batch[kBatchHeaderBytes] = {};
  put_batch_header({.length = 8,
                    .payload_crc = 0xAABBCCDD,
                    .base = {1},
                    .count = 2,
                    .flags = BatchHeader::kHasOrigin,
                    .appended_at = Time{5},
                    .synced = {1},
                    .origin = {.input = {{7}, {6}}, .ordinal = 8},
                    .kinds = 2},
                   4, batch);
  EXPECT_EQ(hex(batch).substr(0, 8), "464c5842");
  EXPECT_EQ(hex(std::span(batch).subspan(8)),
            "08000000"
            "ddccbbaa"
            "0100000000000000"
            "02000000"
            "04000000"
            "0500000000000000"
            "0100000000000000"
            "0600000000000000"
            "08000000"
            "0700"
            "0200");
  EXPECT_TRUE(read_batch_header(batch, 4));
  EXPECT_FALSE(read_batch_header(batch, 5));  // another segment's
  EXPECT_EQ(base_of_segment(segment_name({1234})), Offset{1234});
  EXPECT_EQ(segment_name({1234}), "00000000000000001234.seg");
  EXPECT_EQ(base_of_segment("0000000000000000123x.seg"), std::nullopt);
}

}  // namespace
}  // namespace flux::bus::embedded
