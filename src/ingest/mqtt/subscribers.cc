#include "ingest/mqtt/subscribers.h"

#include <algorithm>

#include "ingest/mqtt/session.h"
#include "wire/mqtt/encode.h"

namespace flux::ingest::mqtt {
namespace {
constexpr std::size_t kMailbox = 4096;
}

Subscribers::Subscribers(runtime::Shards& shards, Metrics& metrics) : shards_(shards), metrics_(metrics) {
  for (auto& shard : shards) {
    auto local = std::make_unique<Local>();
    local->mailbox = std::make_unique<runtime::Mailbox<MessagePtr>>(
        *shard, kMailbox, [this, to = local.get()](const MessagePtr& message) { deliver(*to, *message); });
    locals_.push_back(std::move(local));
  }
}

Subscribers::~Subscribers() = default;

void Subscribers::add(Session& session) {
  Local& local = *locals_[session.shard().index()];
  local.sessions.push_back(&session);
  local.count.fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
}

void Subscribers::remove(Session& session) {
  Local& local = *locals_[session.shard().index()];
  const auto found = std::ranges::find(local.sessions, &session);
  if (found == local.sessions.end()) return;
  *found = local.sessions.back();
  local.sessions.pop_back();
  local.count.fetch_sub(1, std::memory_order_relaxed);
  count_.fetch_sub(1, std::memory_order_relaxed);
}

void Subscribers::publish(TenantId tenant, std::string_view topic, std::string_view payload, std::uint64_t publisher) {
  namespace codec = wire::mqtt;
  const codec::Publish publish{.topic = topic, .payload = std::as_bytes(std::span(payload))};
  std::string frame_3;
  std::string frame_5;
  codec::encode(publish, codec::Version::v3_1_1, {}, frame_3);
  codec::encode(publish, codec::Version::v5, {}, frame_5);
  const auto message = std::make_shared<const Message>(
      Message{tenant, std::string(topic), publisher, std::make_shared<const std::string>(std::move(frame_3)),
              std::make_shared<const std::string>(std::move(frame_5))});
  for (const auto& local : locals_) {
    if (local->count.load(std::memory_order_relaxed) == 0) continue;
    // Through the mailbox on the own shard too, so that nobody is written to in the midst of another's input.
    MessagePtr copy = message;
    if (!local->mailbox->try_send(copy)) metrics_.mqtt_undelivered.add();
  }
}

void Subscribers::deliver(Local& local, const Message& message) {
  for (Session* const session : local.sessions) {
    switch (session->deliver(message.tenant, message.topic, message.publisher, message.frame_3, message.frame_5)) {
      case Session::Delivery::sent: metrics_.mqtt_delivered.add(); break;
      case Session::Delivery::dropped: metrics_.mqtt_undelivered.add(); break;
      case Session::Delivery::not_wanted: break;
    }
  }
}

}  // namespace flux::ingest::mqtt
