#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/message.h"
#include "core/result.h"
#include "wire/mqtt/packet.h"

/// What the broker keeps in the log's topic `broker-state`: changes of sessions and of retained messages, many in one
/// record (docs/formats/broker-state.md draws them). All changes of one session are in one partition, in order.
namespace flux::broker::journal {

using wire::mqtt::SubscribeOptions;

enum class Kind : std::uint8_t {
  session = 1,  ///< a session begins, or all of it is written anew
  end = 2,      ///< it is over
  away = 3,     ///< its client has gone (or come back)
  subscribe = 4,
  unsubscribe = 5,
  message = 6,     ///< for one or more sessions
  settled = 7,     ///< a message reached its client or was given up
  released = 8,    ///< the client has it with QoS 2: PUBREL follows
  received = 9,    ///< a message from the client with QoS 2, that is to be given to all who want it
  forgotten = 10,  ///< and no more
  retained = 11,
  taken = 12,  ///< all who want it have that message; its identifier is still in use
};

struct Session {
  std::uint64_t id = 0;
  std::string_view key;
  Time begun{};                   ///< of two with one key, in different partitions, the later one holds
  std::uint32_t expiry_s = 0;     ///< UINT32_MAX: never
  Time away_since{};              ///< 0: connected
  std::uint64_t next_number = 0;  ///< of the messages to it
};
struct Subscribe {
  std::uint64_t id = 0;
  std::string_view filter;
  SubscribeOptions options;
  std::uint32_t subscription_id = 0;  ///< 0: none
};
/// One session that a message is for.
struct Addressee {
  std::uint64_t id = 0;
  std::uint64_t number = 0;  ///< of the message, counted by the session
  std::uint8_t qos = 0;
  bool retain = false;
  bool released = false;
  bool sent = false;  ///< may have reached the client before
  std::vector<std::uint32_t> subscription_ids;
};

void put_session(std::string& out, const Session& session);
void put_end(std::string& out, std::uint64_t id);
void put_away(std::string& out, std::uint64_t id, std::uint32_t expiry_s, Time since);
void put_subscribe(std::string& out, const Subscribe& subscribe);
void put_unsubscribe(std::string& out, std::uint64_t id, std::string_view filter);
void put_message(std::string& out, const Content& content, std::span<const Addressee> to);
void put_received(std::string& out, std::uint64_t id, std::uint16_t packet_id, const Content& content);
/// Of settled, released, taken, forgotten; `number` is the message's, or the packet identifier.
void put_mark(std::string& out, Kind kind, std::uint64_t id, std::uint64_t number);
void put_retained(std::string& out, const Content& content, std::uint64_t change);

/// Told of each change, in order.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void session(const Session& session) = 0;
  virtual void end(std::uint64_t id) = 0;
  virtual void away(std::uint64_t id, std::uint32_t expiry_s, Time since) = 0;
  virtual void subscribe(const Subscribe& subscribe) = 0;
  virtual void unsubscribe(std::uint64_t id, std::string_view filter) = 0;
  virtual void message(const Content& content, std::span<const Addressee> to) = 0;
  virtual void received(std::uint64_t id, std::uint16_t packet_id, const Content& content) = 0;
  virtual void mark(Kind kind, std::uint64_t id, std::uint64_t number) = 0;
  virtual void retained(const Content& content, std::uint64_t change) = 0;
};

/// `corrupt` names the byte. What came before it was told.
Result<> read(std::string_view record, Visitor& visitor);

}  // namespace flux::broker::journal
