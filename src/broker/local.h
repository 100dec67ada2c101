#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/config.h"
#include "broker/journal.h"
#include "broker/message.h"
#include "broker/metrics.h"
#include "broker/receipt.h"
#include "broker/retained.h"
#include "broker/session.h"
#include "broker/shared_group.h"
#include "broker/topic_tree.h"
#include "runtime/mailbox.h"
#include "runtime/shard.h"

namespace flux::broker {

using SessionPtr = std::shared_ptr<Session>;

/// The broker's part on one shard: its sessions, their subscriptions, and the way to the other shards. On its thread,
/// but for what says otherwise.
///
/// A message is matched on its publisher's shard for the sessions there, and goes to each other shard that has
/// subscriptions, all of a turn in one parcel, to be matched there. So no lock is taken for a message.
class Local final : private runtime::TurnHook {
 public:
  struct Shared {
    const Config& config;
    Metrics& metrics;
    RetainedStore& retained;
    bus::Bus& bus;
    std::vector<std::unique_ptr<Local>>& all;
  };
  Local(runtime::Shard& shard, const Shared& shared);
  ~Local();

  [[nodiscard]] runtime::Shard& shard() const { return shard_; }
  [[nodiscard]] Journal& journal() { return *journal_; }

  // --- sessions ---
  [[nodiscard]] SessionPtr find(const std::string& key) const;
  [[nodiscard]] SessionPtr find(std::uint64_t id) const;
  SessionPtr make(std::string key, std::uint64_t id);
  /// Takes a session off: its subscriptions end. What waited for it is dropped.
  void remove(const SessionPtr& session);
  [[nodiscard]] const std::unordered_map<std::string, SessionPtr>& sessions() const { return sessions_; }

  /// Subscribes, and sends the retained messages that the options ask for.
  void subscribe(const SessionPtr& session, Subscription subscription);
  bool unsubscribe(const SessionPtr& session, std::string_view filter);
  /// A session that was read from the journal: all its subscriptions at once.
  void enlist(const SessionPtr& session);
  /// Its client has come or gone, or it lasts longer or shorter now: shared subscriptions go to those who are there.
  void changed(Session& session);

  // --- messages ---
  struct Outcome {
    bool wanted = false;           ///< somebody subscribes to it, as far as is known here
    bool pending = false;          ///< the receipt will say when it is with all of them
    std::optional<Error> refusal;  ///< it was not retained, and given to nobody
  };
  /// `receipt` is made when somebody has to be waited for; null for QoS 0.
  using MakeReceipt = std::function<ReceiptPtr()>;
  Outcome publish(const Content& content, const MakeReceipt& receipt);

  /// Other shards take no more at the moment, or the journal: publishers wait.
  [[nodiscard]] bool accepting() const { return held_bytes_ < kHeldBytes && !journal_->full(); }
  /// Calls once, when it may be better.
  void when_accepting(std::move_only_function<void()> call) { waiting_.push_back(std::move(call)); }

  static PartitionId retained_partition(const Journal& journal, std::string_view topic) {
    return journal.partition_of(std::hash<std::string_view>{}(topic));
  }

  /// Any thread.
  [[nodiscard]] bool subscribed() const { return subscriptions_.load(std::memory_order_acquire) > 0; }
  [[nodiscard]] bool has_durable() const { return durable_.load(std::memory_order_acquire) > 0; }
  [[nodiscard]] std::size_t subscriptions() const { return subscriptions_.load(std::memory_order_relaxed); }

  /// `$SYS/…` and another's topics: which tree a filter or topic belongs to.
  static TenantId tree_of(TenantId tenant, std::string_view topic) {
    return topic.starts_with("$SYS") ? TenantId{0} : tenant;
  }

 private:
  static constexpr std::size_t kHeldBytes = 32 << 20;
  static constexpr std::size_t kParcels = 64;
  static constexpr std::size_t kCachedTopics = 65'536;

  /// A subscription in the tree: of a session, or of a group that lives here.
  struct Entry {
    Session* session = nullptr;
    SharedGroup* group = nullptr;
    SubscribeOptions options;
    std::uint32_t id = 0;
  };
  /// What a topic means for one session: its subscriptions that match, as one delivery.
  struct Target {
    Session* session = nullptr;
    SharedGroup* group = nullptr;
    std::uint8_t qos = 0;
    bool retain_as_published = false;
    bool no_local = false;  ///< of one at least
    std::vector<std::uint32_t> ids;
  };
  using Targets = std::vector<Target>;
  struct Tree {
    TopicTree<Entry> tree;
    std::unordered_map<std::string, std::unique_ptr<Targets>> known;  ///< dropped with each change of the tree
    std::string last_topic;
    const Targets* last = nullptr;
    void changed() {
      known.clear();
      last = nullptr;
    }
  };
  /// To another shard.
  struct Item {
    enum class For : std::uint8_t {
      all,     ///< who subscribe there
      member,  ///< one session, chosen by the group's home
      group,   ///< its home, that is to choose another one
    };
    MessagePtr message;
    ReceiptPtr receipt;
    For whom = For::all;
    std::uint64_t session = 0;
    std::uint8_t qos = 0;
    bool retain = false;
    std::uint32_t subscription_id = 0;
    std::string shared;
  };
  using Parcel = std::vector<Item>;
  struct Lane {
    Parcel open;
    bool waiting = false;
    std::size_t bytes = 0;
  };

  const Targets& targets_of(TenantId tenant, std::string_view topic);
  static void collect(const TopicTree<Entry>& tree, std::string_view topic, Targets& targets);
  bool deliver_here(Shipment& shipment, ReceiptPtr& receipt, const MakeReceipt& make);
  void deliver_to(const Target& target, Shipment& shipment, Time now);
  void deliver_shared(SharedGroup& group, Shipment& shipment, ReceiptPtr& receipt, const MakeReceipt& make, Time now);
  void give(Session& session, Shipment& shipment, const Session::Delivery& delivery, Time now);
  void write_journal(Shipment& shipment, ReceiptPtr& receipt, const MakeReceipt& make);
  void send_retained(Session& session, const Subscription& subscription);
  void hand_over(std::size_t shard, Item item);
  void on_turn_end() override;
  void send(std::size_t shard);
  void arrived(Parcel parcel);

  void add(Session& session, const Subscription& subscription);
  void take_out(Session& session, std::string_view filter);
  void join(TenantId tenant, const std::string& shared, const SharedGroup::Member& member);
  void leave(TenantId tenant, const std::string& shared, std::uint64_t session);
  [[nodiscard]] Local& home_of(TenantId tenant, std::string_view shared) const;
  [[nodiscard]] bool any_durable() const;

  runtime::Shard& shard_;
  const Shared shared_;
  std::shared_ptr<Journal> journal_;
  std::unordered_map<std::string, SessionPtr> sessions_;
  std::unordered_map<std::uint64_t, Session*> by_id_;
  std::map<TenantId, Tree> trees_;
  std::map<std::pair<TenantId, std::string>, std::unique_ptr<SharedGroup>> groups_;  // those that live here
  std::atomic<std::size_t> subscriptions_{0};
  std::atomic<std::size_t> durable_{0};
  std::vector<Lane> lanes_;
  std::size_t held_bytes_ = 0;
  std::unique_ptr<runtime::Mailbox<Parcel>> mailbox_;
  std::vector<std::move_only_function<void()>> waiting_;
  std::vector<std::vector<journal::Addressee>> addressees_;  // of the message at hand, by partition of the journal
  bool any_addressee_ = false;
};

}  // namespace flux::broker
