#pragma once

#include <memory>
#include <optional>
#include <string>

#include "app/data_folder.h"
#include "app/roles.h"
#include "app/settings.h"
#include "core/result.h"

namespace flux::app {

/// One process of Fluxgate: makes everything, starts it in order, ends it in reverse.
class Node {
 public:
  struct Options {
    Settings settings;
    RoleSet roles;
    bool demo = false;
  };
  struct Addresses {
    std::string http;              ///< `127.0.0.1:8080`, as somebody on this machine reaches it
    std::string mqtt;              ///< empty: switched off
    bool http_everywhere = false;  ///< every address of this machine is listened on
    bool mqtt_everywhere = false;
  };

  /// Opens the data folder and all that lies in it, and starts serving. Blocking. On an error nothing keeps running.
  static Result<std::unique_ptr<Node>> start(Options options);
  ~Node();

  [[nodiscard]] const Addresses& addresses() const;
  /// The one-time administrator link; nothing once somebody has set a password.
  std::optional<std::string> administrator_link();
  /// Lets commands on this machine in: see `fluxgate publish --data-dir`.
  std::string local_token();

  /// Waits for SIGTERM or SIGINT. A second one ends the process at once.
  void wait_for_signal();
  /// Refuses new work, finishes what was taken, and stops. The error says what could not be finished in time.
  Result<> stop();

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::app
