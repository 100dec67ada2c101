#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/result.h"
#include "core/time.h"

/// How the protocols hand commands to devices and take their answers. What commands are, and what becomes of them, is
/// another room's (`control`): `app` hands one to the other.
namespace flux::ingest {

struct CommandMessage {
  std::string id;
  std::string name;
  std::string payload;  ///< JSON
  Time expires;
  bool again = false;     ///< it was given to a connection of the device before
  bool response = false;  ///< an answer is waited for
};

struct CommandAnswer {
  bool succeeded = false;
  std::optional<std::string> result;  ///< JSON
  std::string reason;                 ///< why it failed
};

/// Any thread.
class CommandPort {
 public:
  /// Commands for one device come as long as it lives.
  class Feed {
   public:
    virtual ~Feed() = default;
  };

  virtual ~CommandPort() = default;

  /// `receive` is called on any thread, must not block, and may be called once more after the feed has ended.
  [[nodiscard]] virtual std::unique_ptr<Feed> subscribe(TenantId tenant, std::string device,
                                                        std::function<void(CommandMessage)> receive) = 0;
  /// The device confirmed that it has the command.
  virtual void received(TenantId tenant, const std::string& device, const std::string& id) = 0;
  /// The command cannot be carried out; `had`: the device itself said so.
  virtual void refused(TenantId tenant, const std::string& device, const std::string& id, bool had,
                       const std::string& reason) = 0;
  /// `done` is called on any thread, when the answer is durable or was not taken.
  virtual void answered(TenantId tenant, const std::string& device, const std::string& id, CommandAnswer answer,
                        std::function<void(const Result<>&)> done) = 0;
};

}  // namespace flux::ingest
