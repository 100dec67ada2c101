#include "broker/journal_format.h"

#include <gtest/gtest.h>

namespace flux::broker::journal {
namespace {

/// What was read, a line each.
class Lines final : public Visitor {
 public:
  void session(const Session& s) override {
    add("session " + std::to_string(s.id) + " " + std::string(s.key) + " begun " + std::to_string(s.begun.ns) +
        " expiry " + std::to_string(s.expiry_s) + " away " + std::to_string(s.away_since.ns) + " next " +
        std::to_string(s.next_number));
  }
  void end(std::uint64_t id) override { add("end " + std::to_string(id)); }
  void away(std::uint64_t id, std::uint32_t expiry_s, Time since) override {
    add("away " + std::to_string(id) + " " + std::to_string(expiry_s) + " " + std::to_string(since.ns));
  }
  void subscribe(const Subscribe& s) override {
    add("subscribe " + std::to_string(s.id) + " " + std::string(s.filter) + " q" + std::to_string(s.options.qos) +
        (s.options.no_local ? " nl" : "") + (s.options.retain_as_published ? " rap" : "") + " rh" +
        std::to_string(s.options.retain_handling) + " #" + std::to_string(s.subscription_id));
  }
  void unsubscribe(std::uint64_t id, std::string_view filter) override {
    add("unsubscribe " + std::to_string(id) + " " + std::string(filter));
  }
  void message(const Content& content, std::span<const Addressee> to) override {
    std::string line = "message " + text(content);
    for (const Addressee& one : to) {
      line += " -> " + std::to_string(one.id) + ":" + std::to_string(one.number) + " q" + std::to_string(one.qos) +
              (one.retain ? " retain" : "") + (one.released ? " released" : "") + (one.sent ? " sent" : "");
      for (const auto id : one.subscription_ids) line += " #" + std::to_string(id);
    }
    add(line);
  }
  void received(std::uint64_t id, std::uint16_t packet_id, const Content& content) override {
    add("received " + std::to_string(id) + ":" + std::to_string(packet_id) + " " + text(content));
  }
  void mark(Kind kind, std::uint64_t id, std::uint64_t number) override {
    add("mark " + std::to_string(static_cast<int>(kind)) + " " + std::to_string(id) + ":" + std::to_string(number));
  }
  void retained(const Content& content, std::uint64_t change) override {
    add("retained " + std::to_string(change) + " " + text(content));
  }
  std::vector<std::string> all;

 private:
  static std::string text(const Content& c) {
    return std::to_string(c.tenant.value) + "/" + std::string(c.topic) + "=" + std::string(c.payload) + "+" +
           std::string(c.passed_on) + " until " + std::to_string(c.expires.ns) + " of " + std::to_string(c.origin) +
           " q" + std::to_string(c.qos) + (c.retain ? " retain" : "");
  }
  void add(std::string line) { all.push_back(std::move(line)); }
};

/// One of each, and what is read of them.
std::string one_of_each() {
  std::string record;
  const Content content{.tenant = {3},
                        .topic = "a/b",
                        .payload = "pp",
                        .passed_on = "xyz",
                        .expires = {77},
                        .origin = UINT64_MAX,
                        .qos = 2,
                        .retain = true};
  put_session(record, {UINT64_MAX, "1-d-c", {5}, UINT32_MAX, {6}, 300});
  put_subscribe(record,
                {9, "a/+", {.qos = 2, .no_local = true, .retain_as_published = true, .retain_handling = 2}, 200});
  put_unsubscribe(record, 9, "a/+");
  const Addressee to[] = {{.id = 1, .number = 2, .qos = 1, .retain = true, .subscription_ids = {1, 268'435'455}},
                          {.id = 3, .number = 1'000'000, .qos = 2, .released = true, .sent = true}};
  put_message(record, content, to);
  put_received(record, 4, 65'535, content);
  put_mark(record, Kind::settled, 1, 2);
  put_away(record, 9, 60, {8});
  put_retained(record, content, 12);
  put_end(record, 9);
  return record;
}

TEST(BrokerJournal, reads_what_was_written) {
  Lines lines;
  ASSERT_TRUE(read(one_of_each(), lines));
  const std::string content = "3/a/b=pp+xyz until 77 of 18446744073709551615 q2 retain";
  EXPECT_EQ(lines.all,
            (std::vector<std::string>{
                "session 18446744073709551615 1-d-c begun 5 expiry 4294967295 away 6 next 300",
                "subscribe 9 a/+ q2 nl rap rh2 #200", "unsubscribe 9 a/+",
                "message " + content + " -> 1:2 q1 retain #1 #268435455 -> 3:1000000 q2 released sent",
                "received 4:65535 " + content, "mark 7 1:2", "away 9 60 8", "retained 12 " + content, "end 9"}));
}

TEST(BrokerJournal, names_the_byte_where_a_record_is_cut_off) {
  const std::string whole = one_of_each();
  Lines all;
  ASSERT_TRUE(read(whole, all));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Lines lines;
    const auto result = read(whole.substr(0, size), lines);
    EXPECT_LE(lines.all.size(), all.all.size());
    if (!result) EXPECT_EQ(result.error().code, ErrorCode::corrupt);
  }
  Lines lines;
  const auto unknown = read(whole + '\x63', lines);
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().message.contains("byte " + std::to_string(whole.size()))) << unknown.error().message;
  EXPECT_EQ(lines.all, all.all);  // what came before was told
}

}  // namespace
}  // namespace flux::broker::journal
