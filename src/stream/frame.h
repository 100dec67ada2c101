#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/epoch.h"
#include "core/time.h"
#include "core/value.h"
#include "registry/model.h"

namespace flux::stream {

/// One message to a subscriber, made once and shared by all who get the same. Only the subscription's id is missing,
/// which the transport puts before it:
///
///     {"op":"data","id":7,  +  "data":[{"device":"pump-1","metrics":{…}}]}
struct Frame {
  enum class Kind : std::uint8_t { data, state, event, trace };
  Kind kind = Kind::data;
  std::string rest;  ///< the members after `id`, and the closing brace

  /// `data`, `state`, `event`, `trace`: the word of `op`.
  [[nodiscard]] std::string_view op() const;
  /// `{"op":"data","id":7,`
  [[nodiscard]] std::string head(std::uint64_t id) const;
  /// What server-sent events send as data: the array of a data frame, the event's or trace's object, the whole of a
  /// state.
  [[nodiscard]] std::string payload() const;
};
using FramePtr = std::shared_ptr<const Frame>;

/// Shortest text that reads back as the same; `null` for NaN and infinities.
void append_value(std::string& out, ValueType type, Cell cell, std::string_view text);

/// `last_seen` of `Time::min()` is written as null: never.
FramePtr make_state_frame(std::string_view device, registry::DeviceState state, bool connected, Time last_seen,
                          Epoch epoch);
/// The same for a reader that has missed so many of its kind just before it.
FramePtr with_dropped(const Frame& frame, std::uint64_t dropped);
/// `json` is an object.
FramePtr make_object_frame(Frame::Kind kind, std::string_view json);

}  // namespace flux::stream
