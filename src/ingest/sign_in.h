#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "auth/device_auth.h"
#include "auth/throttle.h"
#include "core/result.h"
#include "core/time.h"
#include "ingest/metrics.h"
#include "net/address.h"
#include "registry/connection_log.h"
#include "registry/directory.h"

namespace flux::ingest {

/// What becomes of refused credentials, for all protocols: guessing is slowed down, and the refusal is noted where the
/// people who connect the device look. Any thread; one for the process.
///
/// A right credential is never asked to wait: behind one address there may be a whole fleet, and of 178 random bits
/// nobody guesses any sooner for it. It is those with a wrong one that are told to come later, by address (20 free
/// failures) and by the device that they name (5), so that neither the log nor the processor is theirs.
class SignIn {
 public:
  using Clock = Duration (*)();
  SignIn(const auth::DeviceAuthenticator& authenticator, const registry::Directory& directory,
         registry::ConnectionLog& log, Metrics& metrics, Clock clock = monotonic_now)
      : authenticator_(authenticator), directory_(directory), log_(log), metrics_(metrics), clock_(clock) {}

  struct Attempt {
    registry::ConnectionProtocol protocol = registry::ConnectionProtocol::mqtt;
    std::string_view version;  ///< `MQTT 5`, `HTTP/1.1`
    const net::Address& peer;
    std::string_view client_id;  ///< MQTT only
    auth::Presented presented;
    std::span<const std::string_view> named;  ///< what may be the device's id, best first: of topic or payload
  };
  struct Refusal {
    Error error;                        ///< fit for the sender: `exhausted` when it must wait
    std::optional<Duration> try_again;  ///< whole seconds from now; set when `exhausted`
  };

  /// Whether the address has failed so often that it must wait: then nothing more is read of what it sends.
  [[nodiscard]] bool must_wait(const net::Address& peer);
  /// After the authenticator said no. Counts, notes, and says what to answer.
  Refusal refused(const Attempt& attempt, Error why);
  /// A connection that ended before it said who it is.
  void unreadable(const Attempt& attempt, std::string message);
  /// Right credentials that are another device's than the one that `attempt` names: that one's people want to know.
  void mistaken(const Attempt& attempt, const auth::Identity& identity);

 private:
  struct Meant {
    TenantId tenant;     ///< 0: not known
    std::string device;  ///< empty: not known
  };
  /// So many a second, and some at once.
  struct Budget {
    double left = 0;
    Duration at;
    std::uint64_t withheld = 0;
  };
  [[nodiscard]] Meant meant_by(const Attempt& attempt) const;
  void note(const Attempt& attempt, const Meant& meant, registry::ConnectionStage stage, std::string message);
  /// How many were left out since the last one that was let through; nothing when this one is left out too.
  std::optional<std::uint64_t> may_note(const std::string& device);

  const auth::DeviceAuthenticator& authenticator_;
  const registry::Directory& directory_;
  registry::ConnectionLog& log_;
  Metrics& metrics_;
  const Clock clock_;
  auth::LoginThrottle addresses_{20};
  auth::LoginThrottle devices_{5};

  std::mutex mutex_;
  Budget all_;
  std::map<std::string, Budget, std::less<>> by_device_;  // guarded by mutex_
};

/// Without anything that looks like a credential, and no longer than is shown.
std::string without_secrets(std::string_view text);

}  // namespace flux::ingest
