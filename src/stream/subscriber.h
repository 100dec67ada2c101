#pragma once

#include <cstdint>

#include "core/time.h"
#include "stream/frame.h"

namespace flux::stream {

/// A reader's connection: WebSocket, SSE and others implement it. Lives on a shard; all calls come there.
class Subscriber {
 public:
  /// Whether another frame may be sent now. False while the connection's own queue is full: the hub then keeps only the
  /// newest of each series until it is true again, and asks every few milliseconds.
  [[nodiscard]] virtual bool writable() const = 0;
  /// Takes the frame: sends `frame.head(id)`, then `frame.rest`. Subscriptions may begin and end inside.
  virtual void send(std::uint64_t id, const FramePtr& frame) = 0;

 protected:
  ~Subscriber() = default;
};

/// How a subscription wants its frames.
struct Options {
  Duration interval;  ///< between two frames; 0: the default
  Epoch times = Epoch::rfc3339;
  bool snapshot = false;  ///< begin with the newest value of every selected series
  friend bool operator==(const Options&, const Options&) = default;
};

}  // namespace flux::stream
