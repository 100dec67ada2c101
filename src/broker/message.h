#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/time.h"

namespace flux::broker {

/// What was published, as views: of the packet at hand, or of a `Message` that keeps it.
struct Content {
  TenantId tenant;  ///< 0: the broker's own (`$SYS`)
  std::string_view topic;
  std::string_view payload;
  std::string_view passed_on;  ///< MQTT 5 properties that go to subscribers as they came (wire::mqtt::encode_passed_on)
  Time expires{};              ///< 0: never
  std::uint64_t origin = 0;    ///< of QoS 2 from a lasting session: tells it from all others; 0: none
  std::uint64_t publisher = 0;  ///< number of the session that sent it; 0: none
  std::uint8_t qos = 0;
  bool retain = false;

  [[nodiscard]] bool expired(Time now) const { return expires.ns != 0 && now >= expires; }
};

/// A content that outlives its packet; shared by all that wait for it, never changed.
class Message {
 public:
  explicit Message(const Content& from) : content_(from) {
    bytes_.reserve(from.topic.size() + from.payload.size() + from.passed_on.size());
    bytes_.append(from.topic).append(from.payload).append(from.passed_on);
    const std::string_view all = bytes_;
    content_.topic = all.substr(0, from.topic.size());
    content_.payload = all.substr(from.topic.size(), from.payload.size());
    content_.passed_on = all.substr(from.topic.size() + from.payload.size());
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  [[nodiscard]] const Content& content() const { return content_; }
  [[nodiscard]] std::size_t bytes() const { return sizeof *this + bytes_.capacity(); }

 private:
  std::string bytes_;
  Content content_;
};
using MessagePtr = std::shared_ptr<const Message>;

/// A content on its way to several receivers: copied at most once, and only when one of them has to keep it.
class Shipment {
 public:
  explicit Shipment(const Content& from) : content_(from) {}
  explicit Shipment(MessagePtr kept) : kept_(std::move(kept)), content_(kept_->content()) {}
  Shipment(const Shipment&) = delete;
  Shipment& operator=(const Shipment&) = delete;

  [[nodiscard]] const Content& content() const { return content_; }
  const MessagePtr& keep() {
    if (!kept_) kept_ = std::make_shared<const Message>(content_);
    return kept_;
  }

  /// Whole packets of QoS 0 that several receivers get alike; empty until the first of them needs one.
  std::string frame_3;
  std::string frame_5;

 private:
  MessagePtr kept_;
  const Content content_;
};

}  // namespace flux::broker
