#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/config.h"
#include "broker/journal.h"
#include "broker/journal_format.h"
#include "broker/message.h"
#include "broker/metrics.h"
#include "core/result.h"
#include "wire/mqtt/packet.h"

namespace flux::broker {

using wire::mqtt::Reason;
using wire::mqtt::SubscribeOptions;
using wire::mqtt::Version;

inline constexpr std::uint32_t kNeverExpires = UINT32_MAX;

/// The connection that a session has at the moment; on the session's shard.
class Link {
 public:
  virtual ~Link() = default;
  /// Whole packets. Takes them all.
  virtual void send(std::string_view packets) = 0;
  /// More is buffered than the client reads: `Session::send_more` is called once it is less.
  [[nodiscard]] virtual bool clogged() const = 0;
  /// Another connection has come for the session: this one has no session any more.
  virtual void taken_over() = 0;
};

/// What the client said in CONNECT about what may be sent to it.
struct ClientLimits {
  Version version = Version::v5;
  std::uint16_t receive_maximum = UINT16_MAX;
  std::size_t packet_bytes = SIZE_MAX;
  std::uint16_t topic_aliases = 0;
};

/// How to publish the will, and how long after the connection has gone.
struct Will {
  std::move_only_function<void()> publish;
  Duration delay{};
};

struct Subscription {
  std::string filter;
  SubscribeOptions options;
  std::uint32_t id = 0;   ///< 0: none
  bool published = true;  ///< stands for messages of the broker, and not only for what others send on it (commands)
};

/// A client's state between and during its connections: subscriptions, what is on its way to it, and what it is sending
/// with QoS 2. On one shard, where its connection is too.
///
/// Messages of QoS 1 and 2 are numbered, and the number makes the packet identifier (number % 65535 + 1), so that a
/// message has the same one after a restart too. At most `config.in_flight` of them (or the client's receive maximum)
/// wait for their acknowledgement, the others for room. A session that outlives its connection (`durable`) writes each
/// change to the journal.
class Session : public std::enable_shared_from_this<Session> {
 public:
  struct Owner {
    const Config& config;
    Metrics& metrics;
    Journal& journal;
  };
  Session(const Owner& owner, std::uint64_t id, std::string key);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] std::uint64_t id() const { return id_; }
  /// `{tenant}` NUL whatever tells the tenant's clients apart.
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] TenantId tenant() const { return tenant_; }
  [[nodiscard]] Time begun() const { return begun_; }
  [[nodiscard]] bool connected() const { return link_ != nullptr; }
  [[nodiscard]] bool durable() const { return expiry_s_ != 0; }
  [[nodiscard]] std::uint32_t expiry_s() const { return expiry_s_; }
  [[nodiscard]] Link* link() const { return link_; }
  [[nodiscard]] PartitionId partition() const { return owner_.journal.partition_of(id_); }

  /// A connection begins. Nothing is sent before `send_more`.
  void connect(Link& link, const ClientLimits& limits, std::uint32_t expiry_s);
  /// The connection is gone. What was sent and not acknowledged is sent again on the next one.
  void disconnect(std::optional<std::uint32_t> expiry_s, Time now);

  [[nodiscard]] const std::vector<Subscription>& subscriptions() const { return subscriptions_; }
  [[nodiscard]] const Subscription* find(std::string_view filter) const;
  /// True when there was none for the filter.
  bool subscribe(Subscription subscription);
  bool unsubscribe(std::string_view filter);

  struct Delivery {
    std::uint8_t qos = 0;
    bool retain = false;
    std::span<const std::uint32_t> subscription_ids;
  };
  /// Sends or queues. With a durable session and QoS above 0, `journaled` gets whom to write it for.
  void deliver(Shipment& shipment, const Delivery& delivery, Time now, std::vector<journal::Addressee>* journaled);
  void send_more();

  /// An acknowledgement from the client.
  enum class Ack : std::uint8_t {
    done,
    unknown,  ///< nothing waits for it
    foreign,  ///< of `begin_foreign`
  };
  Ack puback(std::uint16_t packet_id);
  /// PUBREL follows, at once or when it is durable that the client has the message. `foreign`: the caller's.
  Ack pubrec(std::uint16_t packet_id, Reason reason);
  Ack pubcomp(std::uint16_t packet_id);
  /// A packet identifier in the client's window for a message that somebody else sends; nothing when the window is
  /// full.
  std::optional<std::uint16_t> begin_foreign();

  /// The client publishes with QoS 2: from now on the identifier is in use. With `message`, it is so after a restart
  /// too, and should we fall before it was `taken`, all who lack it get it then. `written` is called when that is
  /// durable.
  void receive(std::uint16_t packet_id);
  void receive(std::uint16_t packet_id, MessagePtr message, std::move_only_function<void(const Result<>&)> written);
  /// All who want the message have it.
  void taken(std::uint16_t packet_id);
  [[nodiscard]] std::size_t received_count() const { return received_.size(); }
  [[nodiscard]] bool received(std::uint16_t packet_id) const { return received_.contains(packet_id); }
  /// PUBREL. False: it was not known. `done` is called when the identifier is free, also after a restart: then PUBCOMP
  /// may follow.
  bool release(std::uint16_t packet_id, std::move_only_function<void()> done);

  /// Whole, as changes of the journal.
  void write_all(std::string& out) const;
  void write_end();
  void restore(const journal::Session& saved);
  void restore_subscription(Subscription subscription);
  void restore_unsubscription(std::string_view filter);
  void restore_message(const MessagePtr& message, const journal::Addressee& to);
  void restore_received(std::uint16_t packet_id, MessagePtr message) { received_[packet_id] = std::move(message); }
  void restore_mark(journal::Kind kind, std::uint64_t number);
  /// Messages from the client that were not `taken`.
  [[nodiscard]] std::vector<std::pair<std::uint16_t, MessagePtr>> untaken() const;
  /// It has had that message (Content::origin) and is not given it again.
  void restore_seen(std::uint64_t origin) { seen_.insert(origin); }
  [[nodiscard]] Time away_since() const { return away_since_; }
  /// Its client has gone: what there is may have reached it.
  void restore_away(std::uint32_t expiry_s, Time since);

  [[nodiscard]] std::size_t queued() const { return items_.size() - first_; }
  [[nodiscard]] std::size_t queued_bytes() const { return queued_bytes_; }

  std::optional<Will> will;
  bool counted_durable = false;  ///< the shard's, which counts such sessions

 private:
  enum class State : std::uint8_t { writing, waiting, sent, released, done };
  struct Item {
    MessagePtr message;  ///< null: sent and not to be repeated, or another's
    std::vector<std::uint32_t> subscription_ids;
    std::uint8_t qos = 1;
    bool retain = false;
    bool again = false;
    bool foreign = false;
    State state = State::waiting;
  };
  static std::uint16_t packet_id_of(std::uint64_t number) { return static_cast<std::uint16_t>(number % 65'535 + 1); }
  [[nodiscard]] std::uint64_t next_number() const { return first_number_ + (items_.size() - first_); }
  Item* item_of(std::uint16_t packet_id, std::uint64_t& number);
  Item& item(std::uint64_t number) { return items_[first_ + (number - first_number_)]; }
  void settle(std::uint64_t number);
  void drop_settled();
  [[nodiscard]] std::uint16_t window() const;
  bool write(const Content& content, const Delivery& delivery, std::uint16_t packet_id, bool again);
  void write_release(std::uint16_t packet_id);
  void mark(journal::Kind kind, std::uint64_t number);
  void send_unkept(Shipment& shipment, const Delivery& delivery);
  void clear_window();
  void written(std::uint64_t number);

  const Owner owner_;
  const std::uint64_t id_;
  const std::string key_;
  const TenantId tenant_;
  Link* link_ = nullptr;
  ClientLimits limits_;
  std::uint32_t expiry_s_ = 0;
  Time begun_ = wall_now();
  Time away_since_{};
  std::vector<Subscription> subscriptions_;

  std::vector<Item> items_;  // from first_ on
  std::size_t first_ = 0;
  std::uint64_t first_number_ = 0;
  std::uint64_t next_to_send_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t queued_bytes_ = 0;
  std::map<std::uint16_t, MessagePtr> received_;  // null: taken
  std::set<std::uint64_t> seen_;
  std::unique_ptr<std::unordered_map<std::string, std::uint16_t>> aliases_;
};

}  // namespace flux::broker
