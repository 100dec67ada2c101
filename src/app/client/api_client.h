#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/client/arguments.h"
#include "core/result.h"

namespace flux::app {

/// How the commands reach a running server and who they are there.
struct Connection {
  std::string url;    ///< `http://127.0.0.1:8080`, without a slash at its end
  std::string token;  ///< sent as Bearer; empty: none
};

/// What the user gave; what is missing is taken from the environment (`FLUXGATE_URL`, `FLUXGATE_TOKEN`) and then from
/// the data folder of a server on this machine (its `server.json`, readable by its owner only).
struct ConnectionOptions {
  std::optional<std::string> url;
  std::optional<std::string> token;
  std::string data_dir = "data";
};
Result<Connection> resolve(const ConnectionOptions& options);

/// Calls to the REST API, blocking, on libcurl. One thread.
class ApiClient {
 public:
  explicit ApiClient(Connection connection);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  /// How long an answer may take; a minute when not set. Not for `events`.
  void set_patience(std::chrono::milliseconds patience);

  /// The answer's body. An answer that is an error becomes an `Error` with the server's words; one that cannot be had
  /// is `unavailable` and names the address.
  Result<std::string> get(const std::string& path, const Parameters& parameters = {});
  Result<std::string> post(const std::string& path, const std::string& json);
  Result<std::string> remove(const std::string& path);

  /// Reads a stream of server-sent events until `event` returns false, the peer ends it, or `stop` turns true.
  Result<> events(const std::string& path, const Parameters& parameters,
                  const std::function<bool(std::string_view name, std::string_view data)>& event,
                  const std::function<bool()>& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::app
