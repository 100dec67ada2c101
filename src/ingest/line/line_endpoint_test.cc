#include <gtest/gtest.h>

#include <algorithm>

#include "ingest/testing.h"

namespace flux::ingest {
namespace {

using testing::Node;
using Lines = std::vector<std::string>;

class InfluxWrite : public ::testing::Test {
 protected:
  struct Answer {
    std::string status;
    std::string head;
    std::string body;
  };
  static Answer ask(Node& node, std::string_view method, std::string_view target, std::string_view body,
                    std::string_view authorization) {
    std::string text = std::string(method) + " " + std::string(target) +
                       " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    if (!authorization.empty()) text += "Authorization: " + std::string(authorization) + "\r\n";
    net::TestClient client(node.http->address());
    EXPECT_TRUE(client.send(text + "\r\n" + std::string(body)));
    const std::string response = client.receive_response();
    const std::size_t end = response.find("\r\n\r\n");
    return {response.substr(9, 3), response.substr(0, end), response.substr(end + 4)};
  }
  static Answer write(Node& node, std::string_view body, std::string_view query = "db=default",
                      std::string_view authorization = "Token key") {
    return ask(node, "POST", "/write?" + std::string(query), body, authorization);
  }
  /// Everything in the log: "database/policy device measurement,tag=value field=value time", sorted.
  static Lines rows(Node& node) {
    Lines all;
    for (std::size_t p = 0; p < node.bus->partition_count(); ++p) {
      auto reader = node.bus->reader(bus::Topic::raw_sensor_data, {static_cast<std::uint16_t>(p)}, {0});
      for (;;) {
        auto records = (*reader)->read(1 << 20);
        if (!records || records->empty()) break;
        for (const bus::Record& record : *records) add(*record.batch, all);
      }
    }
    std::ranges::sort(all);
    return all;
  }

 private:
  static void add(const TelemetryBatch& batch, Lines& all) {
    for (const auto& group : batch.groups()) {
      const ShapeKey& key = group.shape().key();
      for (std::size_t row = 0; row < group.rows(); ++row) {
        std::string text = key.database + "/" + key.retention_policy + " " + key.device + " " + key.measurement;
        for (const Tag& tag : key.tags) text += "," + tag.key + "=" + tag.value;
        for (std::size_t field = 0; field < group.shape().field_count(); ++field) {
          if (!batch.has(group, field, row)) continue;
          text += " " + key.fields[field].name + "=";
          const Value value = batch.value(group, field, row);
          if (const auto* string = std::get_if<std::string>(&value)) text += "'" + *string + "'";
          else if (const auto* truth = std::get_if<bool>(&value)) text += *truth ? "true" : "false";
          else if (const auto* integer = std::get_if<std::int64_t>(&value)) text += std::to_string(*integer) + "i";
          else if (const auto* whole = std::get_if<std::uint64_t>(&value)) text += std::to_string(*whole) + "u";
          else text += std::to_string(std::get<double>(value)).substr(0, 4);
        }
        all.push_back(text + " " + std::to_string(batch.times(group)[row]));
      }
    }
  }
};

TEST_F(InfluxWrite, takes_lines_and_binds_them_to_devices) {
  Node node;
  const Answer answer = write(node,
                              "cpu,host=web-1,region=eu usage=1.5,n=3i 1000\n"
                              "cpu,host=web-2,name=x usage=2.5 2000\n"
                              "mem,device=pump-1,host=web-1 free=7u,ok=t,note=\"hi\" 3000\n"
                              "site temperature=21.5 4000\n"
                              "disk,name=/dev/sda used=1i 5000\n");
  EXPECT_EQ(answer.status, "204");
  EXPECT_NE(answer.head.find("X-Influxdb-Version: 1.8"), std::string::npos);
  EXPECT_EQ(rows(node), (Lines{"default/autogen default disk,name=/dev/sda used=1i 5000",
                               "default/autogen default site temperature=21.5 4000",
                               "default/autogen pump-1 mem,device=pump-1,host=web-1 free=7u ok=true note='hi' 3000",
                               "default/autogen web-1 cpu,host=web-1,region=eu usage=1.50 n=3i 1000",
                               "default/autogen web-2 cpu,host=web-2,name=x usage=2.50 2000"}));
  EXPECT_EQ(node.metric("fluxgate_ingest_readings_total", {{"protocol", "line"}}), 8);
  EXPECT_TRUE(node.directory.find({1}, "web-1"));
}

TEST_F(InfluxWrite, takes_each_precision) {
  Node node;
  for (const char* precision : {"n", "ns", "u", "us", "ms", "s", "m", "h"})
    EXPECT_EQ(write(node, std::string("m,p=") + precision + " v=1i 2", std::string("db=default&precision=") + precision)
                  .status,
              "204");
  EXPECT_EQ(rows(node), (Lines{"default/autogen default m,p=h v=1i 7200000000000",
                               "default/autogen default m,p=m v=1i 120000000000",
                               "default/autogen default m,p=ms v=1i 2000000", "default/autogen default m,p=n v=1i 2",
                               "default/autogen default m,p=ns v=1i 2", "default/autogen default m,p=s v=1i 2000000000",
                               "default/autogen default m,p=u v=1i 2000", "default/autogen default m,p=us v=1i 2000"}));
  const Answer wrong = write(node, "m v=1", "db=default&precision=d");
  EXPECT_EQ(wrong.status, "400");
  EXPECT_EQ(wrong.body, "{\"error\":\"invalid precision \\\"d\\\" (use n, ns, u, us, ms, s, m or h)\"}\n");
}

TEST_F(InfluxWrite, names_what_is_wrong_and_stores_the_rest) {
  Node node;
  const Answer partial = write(node, "m v=1 1\nm v=bad 2\nm v=3 3\nm v=4i 4\n");
  EXPECT_EQ(partial.status, "400");
  EXPECT_EQ(
      partial.body,
      "{\"error\":\"partial write: unable to parse 'm v=bad 2': invalid boolean (line 2, column 5)\\n"
      "field type conflict: input field \\\"v\\\" on measurement \\\"m\\\" is type integer, already exists as type "
      "float (line 4, column 3) dropped=1\"}\n");
  const Answer nothing = write(node, "nonsense\n");
  EXPECT_EQ(nothing.status, "400");
  EXPECT_EQ(nothing.body, "{\"error\":\"unable to parse 'nonsense': missing fields (line 1, column 9)\"}\n");
  EXPECT_EQ(
      write(node, "m time=1 5").body,
      "{\"error\":\"partial write: invalid field name: input field \\\"time\\\" on measurement \\\"m\\\" is invalid "
      "(line 1, column 3) dropped=1\"}\n");
  EXPECT_EQ(rows(node).size(), 2U);
}

TEST_F(InfluxWrite, asks_for_a_credential) {
  Node node;
  EXPECT_EQ(write(node, "m v=1", "db=default", "").status, "401");
  EXPECT_EQ(write(node, "m v=1", "db=default", "Token wrong").status, "401");
  EXPECT_EQ(write(node, "m v=1", "db=default&u=me&p=wrong", "").status, "401");
  EXPECT_EQ(write(node, "m v=1 1", "db=default&u=me&p=key", "").status, "204");
  EXPECT_EQ(write(node, "m v=1 2", "db=default", "Basic bWU6a2V5").status, "204");  // me:key
  EXPECT_EQ(write(node, "m v=1 3", "db=default", "Token me:key").status, "204");
  EXPECT_EQ(write(node, "m v=1 4", "db=default", "Bearer key").status, "204");
  EXPECT_EQ(rows(node).size(), 4U);
}

TEST_F(InfluxWrite, a_device_speaks_for_itself_only) {
  Node node;
  const Answer other = write(node, "m,host=pump-2 v=1 1", "db=default", "Token token-pump-1");
  EXPECT_EQ(other.status, "403");
  EXPECT_EQ(write(node, "m,host=pump-1 v=1 2\nm v=2 3", "db=default", "Token token-pump-1").status, "204");
  EXPECT_EQ(write(node, "m v=3 4", "db=default", "Token key").status, "204");
  EXPECT_EQ(write(node, "m v=4 5", "db=default", "Token token-pump-1").status, "204");
  EXPECT_EQ(rows(node), (Lines{"default/autogen default m v=3.00 4", "default/autogen pump-1 m v=2.00 3",
                               "default/autogen pump-1 m v=4.00 5", "default/autogen pump-1 m,host=pump-1 v=1.00 2"}));
  EXPECT_EQ(write(node, "m,host=new v=1 1", "db=default", "Token key-known-only").status, "403");
}

TEST_F(InfluxWrite, finds_the_database_or_makes_it) {
  Node node;
  EXPECT_EQ(write(node, "m v=1 1", "db=telegraf", "Token key-known-only").body,
            "{\"error\":\"database not found: \\\"telegraf\\\"\"}\n");
  EXPECT_EQ(write(node, "m v=1 1", "db=telegraf", "Token key-known-only").status, "404");
  EXPECT_EQ(write(node, "m v=1 1", "db=telegraf").status, "204");
  EXPECT_TRUE(node.databases.find({1}, "telegraf"));
  EXPECT_EQ(write(node, "m v=2i 2", "db=default").status, "204") << "another database has types of its own";
  EXPECT_EQ(write(node, "m v=1 1", "db=telegraf&rp=weekly").body,
            "{\"error\":\"retention policy not found: \\\"weekly\\\"\"}\n");
  EXPECT_EQ(write(node, "m v=1 1", "").body, "{\"error\":\"database is required\"}\n");
  EXPECT_EQ(write(node, "m v=1 1", "db=a%2Fb").status, "400");
  EXPECT_EQ(write(node, "m v=1 1", "db=default&consistency=most").body, "{\"error\":\"invalid consistency level\"}\n");
  EXPECT_EQ(write(node, "m v=3i 3", "db=default&consistency=any&rp=autogen").status, "204");
  EXPECT_EQ(rows(node), (Lines{"default/autogen default m v=2i 2", "default/autogen default m v=3i 3",
                               "telegraf/autogen telegraf m v=1.00 1"}));
}

TEST_F(InfluxWrite, makes_no_database_where_that_is_switched_off) {
  Config config;
  config.line.create_databases = false;
  Node node(config);
  EXPECT_EQ(write(node, "m v=1 1", "db=telegraf").status, "404");
  EXPECT_FALSE(node.databases.find({1}, "telegraf"));
}

TEST_F(InfluxWrite, a_database_that_was_dropped_and_made_again_is_another) {
  Node node;
  EXPECT_EQ(write(node, "m v=1 1", "db=x").status, "204");
  EXPECT_TRUE(runtime::block_on(node.shards[0], node.databases.drop({1}, "x")));
  EXPECT_EQ(write(node, "m v=2i 2", "db=x").status, "204") << "its types went with it";
}

TEST_F(InfluxWrite, speaks_version_2) {
  Node node;
  EXPECT_EQ(ask(node, "POST", "/api/v2/write?org=me&bucket=default&precision=s", "m,host=h v=1 1", "Token key").status,
            "204");
  EXPECT_EQ(ask(node, "POST", "/api/v2/write?bucket=default%2Fautogen", "m,host=h v=2 2", "Token key").status, "204");
  EXPECT_EQ(rows(node), (Lines{"default/autogen h m,host=h v=1.00 1000000000", "default/autogen h m,host=h v=2.00 2"}));
  EXPECT_EQ(ask(node, "POST", "/api/v2/write?bucket=default", "m,host=h v=x", "Token key").body,
            "{\"code\":\"invalid\",\"message\":\"unable to parse 'm,host=h v=x': invalid boolean (line 1, column "
            "12)\"}\n");
  EXPECT_EQ(ask(node, "POST", "/api/v2/write?bucket=default", "m v=1", "Token wrong").body.substr(0, 22),
            "{\"code\":\"unauthorized\"");
  EXPECT_EQ(ask(node, "POST", "/api/v2/write", "m v=1", "Token key").status, "400");
}

TEST_F(InfluxWrite, answers_pings) {
  Node node;
  const Answer ping = ask(node, "GET", "/ping", "", "");
  EXPECT_EQ(ping.status, "204");
  EXPECT_NE(ping.head.find("X-Influxdb-Version: 1.8"), std::string::npos);
  EXPECT_EQ(ask(node, "GET", "/ping?verbose=true", "", "").body, "{\"version\":\"1.8-fluxgate\"}");
}

TEST_F(InfluxWrite, says_nothing_before_it_is_durable) {
  Node node;
  EXPECT_EQ(write(node, "m v=1 1").status, "204");
  node.bus->fail_with(Error{ErrorCode::io, "no disk", {}});
  const Answer failed = write(node, "m v=2 2");
  EXPECT_EQ(failed.status, "503");
  EXPECT_NE(failed.body.find("send them again"), std::string::npos);
}

TEST_F(InfluxWrite, lines_without_a_time_do_not_replace_each_other) {
  Node node;
  std::string body;
  for (int i = 0; i < 50; ++i) body += "m,host=h v=" + std::to_string(i) + "i\n";
  EXPECT_EQ(write(node, body).status, "204");
  Lines times;
  for (const std::string& row : rows(node)) times.push_back(row.substr(row.rfind(' ')));
  std::ranges::sort(times);
  EXPECT_EQ(times.size(), 50U);
  EXPECT_EQ(std::ranges::adjacent_find(times), times.end());
}

}  // namespace
}  // namespace flux::ingest
