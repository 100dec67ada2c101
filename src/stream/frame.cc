#include "stream/frame.h"

#include <charconv>
#include <cmath>

#include "observe/json.h"

namespace flux::stream {
namespace {

template <class T>
void append_number(std::string& out, T value) {
  char text[40];
  const auto [end, status] = std::to_chars(text, text + sizeof text, value);
  out.append(text, end);
}

}  // namespace

std::string_view Frame::op() const {
  switch (kind) {
    case Kind::data: return "data";
    case Kind::state: return "state";
    case Kind::event: return "event";
    case Kind::trace: return "trace";
  }
  return "?";
}

std::string Frame::head(std::uint64_t id) const {
  std::string text = "{\"op\":\"";
  text += op();
  text += "\",\"id\":";
  append_number(text, id);
  text += ',';
  return text;
}

std::string Frame::payload() const {
  if (kind == Kind::state) return "{" + rest;
  const std::string_view name = kind == Kind::data ? "\"data\":" : "\"event\":";
  const std::size_t begin = rest.find(name) + name.size();
  return rest.substr(begin, rest.size() - begin - 1);
}

void append_value(std::string& out, ValueType type, Cell cell, std::string_view text) {
  switch (type) {
    case ValueType::float64: {
      const double value = as_float64(cell);
      if (!std::isfinite(value)) out += "null";
      else append_number(out, value);
      return;
    }
    case ValueType::int64: return append_number(out, as_int64(cell));
    case ValueType::uint64: return append_number(out, cell);
    case ValueType::boolean: out += cell != 0 ? "true" : "false"; return;
    case ValueType::string: observe::append_json_string(out, text); return;
  }
}

FramePtr make_state_frame(std::string_view device, registry::DeviceState state, bool connected, Time last_seen,
                          Epoch epoch) {
  auto frame = std::make_shared<Frame>();
  frame->kind = Frame::Kind::state;
  std::string& out = frame->rest;
  out += "\"device\":";
  observe::append_json_string(out, device);
  out += ",\"state\":\"";
  out += registry::to_string(state);
  out += connected ? "\",\"connected\":true" : "\",\"connected\":false";
  out += ",\"last_seen\":";
  if (last_seen == Time::min()) out += "null";
  else append_time(out, last_seen, epoch);
  out += '}';
  return frame;
}

FramePtr with_dropped(const Frame& frame, std::uint64_t dropped) {
  auto told = std::make_shared<Frame>();
  told->kind = frame.kind;
  told->rest = "\"dropped\":";
  append_number(told->rest, dropped);
  told->rest += ',';
  told->rest += frame.rest;
  return told;
}

FramePtr make_object_frame(Frame::Kind kind, std::string_view json) {
  auto frame = std::make_shared<Frame>();
  frame->kind = kind;
  frame->rest = "\"event\":";
  frame->rest += json;
  frame->rest += '}';
  return frame;
}

}  // namespace flux::stream
