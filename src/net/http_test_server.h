#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "net/http_server.h"
#include "net/router.h"
#include "net/test_client.h"
#include "runtime/shard.h"

namespace flux::net {

/// A running server for tests: fill `router`, then `serve`.
class HttpTest : public testing::Test {
 protected:
  void SetUp() override { shards_.start(); }

  void serve(HttpOptions options = {}) {
    server_ = std::make_unique<HttpServer>(shards_, router_, std::move(options));
    const auto listening = server_->listen("127.0.0.1", 0);
    ASSERT_TRUE(listening) << listening.error().message;
  }
  TestClient connect() { return TestClient(server_->address()); }

  /// Sends `request` on a connection of its own and returns all that comes back.
  std::string exchange(std::string_view request) {
    auto client = connect();
    EXPECT_TRUE(client.send(request));
    client.finish_sending();
    return client.receive_all();
  }

  template <class Pick>
  std::uint64_t sum(Pick pick) {
    std::uint64_t total = 0;
    for (const auto* stats : server_->stats()) total += pick(*stats).get();
    return total;
  }
  std::uint64_t faults(HttpFault kind) {
    return sum(
        [&](const NetStats& stats) -> const Count& { return stats.http_faults[static_cast<std::size_t>(kind)]; });
  }

  runtime::Shards shards_{2, "test"};
  Router router_;
  std::unique_ptr<HttpServer> server_;
};

inline std::string get(std::string_view target, std::string_view headers = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(headers) + "\r\n";
}

inline std::string post(std::string_view target, std::string_view body, std::string_view headers = "") {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

inline std::string body_of(std::string_view response) {
  const auto at = response.find("\r\n\r\n");
  return at == std::string_view::npos ? std::string() : std::string(response.substr(at + 4));
}

inline int status_of(std::string_view response) {
  return response.starts_with("HTTP/1.1 ") ? std::stoi(std::string(response.substr(9, 3))) : 0;
}

}  // namespace flux::net
