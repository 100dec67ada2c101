#include "broker/journal_format.h"

namespace flux::broker::journal {
namespace {

void put_u8(std::string& out, std::uint64_t value) { out.push_back(static_cast<char>(value)); }
void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    put_u8(out, (value & 0x7F) | 0x80);
    value >>= 7;
  }
  put_u8(out, value);
}
void put_u64(std::string& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) put_u8(out, (value >> (8 * i)) & 0xFF);
}
void put_text(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out.append(text);
}
void put_kind(std::string& out, Kind kind) { put_u8(out, static_cast<std::uint8_t>(kind)); }

void put_content(std::string& out, const Content& content) {
  put_varint(out, content.tenant.value);
  put_text(out, content.topic);
  put_text(out, content.payload);
  put_text(out, content.passed_on);
  put_u64(out, static_cast<std::uint64_t>(content.expires.ns));
  put_varint(out, content.origin);
  put_u8(out, content.qos | (content.retain ? 4U : 0U));
}

/// After the first fault every read gives zeros; callers ask once.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] bool more() const { return !failed_ && at_ < bytes_.size(); }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::size_t at() const { return at_; }
  void fail() { failed_ = true; }

  std::uint8_t u8() {
    if (failed_ || at_ >= bytes_.size()) {
      failed_ = true;
      return 0;
    }
    return static_cast<std::uint8_t>(bytes_[at_++]);
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = u8();
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    failed_ = true;
    return 0;
  }
  std::uint32_t u32() {
    const std::uint64_t value = varint();
    if (value > UINT32_MAX) failed_ = true;
    return static_cast<std::uint32_t>(value);
  }
  std::uint64_t u64() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value |= std::uint64_t{u8()} << (8 * i);
    return value;
  }
  std::string_view text() {
    const std::uint64_t size = varint();
    if (failed_ || size > bytes_.size() - at_) {
      failed_ = true;
      return {};
    }
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

Content content_of(Reader& reader) {
  Content content;
  content.tenant = {reader.u32()};
  content.topic = reader.text();
  content.payload = reader.text();
  content.passed_on = reader.text();
  content.expires = {static_cast<std::int64_t>(reader.u64())};
  content.origin = reader.varint();
  const std::uint8_t flags = reader.u8();
  content.qos = flags & 3;
  content.retain = (flags & 4) != 0;
  if (flags > 7 || content.qos > 2) reader.fail();
  return content;
}

std::uint8_t bits_of(const SubscribeOptions& options) {
  return static_cast<std::uint8_t>(options.qos | (options.no_local ? 4 : 0) | (options.retain_as_published ? 8 : 0) |
                                   (options.retain_handling << 4));
}

}  // namespace

void put_session(std::string& out, const Session& session) {
  put_kind(out, Kind::session);
  put_u64(out, session.id);
  put_text(out, session.key);
  put_u64(out, static_cast<std::uint64_t>(session.begun.ns));
  put_varint(out, session.expiry_s);
  put_u64(out, static_cast<std::uint64_t>(session.away_since.ns));
  put_varint(out, session.next_number);
}

void put_end(std::string& out, std::uint64_t id) {
  put_kind(out, Kind::end);
  put_u64(out, id);
}

void put_away(std::string& out, std::uint64_t id, std::uint32_t expiry_s, Time since) {
  put_kind(out, Kind::away);
  put_u64(out, id);
  put_varint(out, expiry_s);
  put_u64(out, static_cast<std::uint64_t>(since.ns));
}

void put_subscribe(std::string& out, const Subscribe& subscribe) {
  put_kind(out, Kind::subscribe);
  put_u64(out, subscribe.id);
  put_text(out, subscribe.filter);
  put_u8(out, bits_of(subscribe.options));
  put_varint(out, subscribe.subscription_id);
}

void put_unsubscribe(std::string& out, std::uint64_t id, std::string_view filter) {
  put_kind(out, Kind::unsubscribe);
  put_u64(out, id);
  put_text(out, filter);
}

void put_message(std::string& out, const Content& content, std::span<const Addressee> to) {
  put_kind(out, Kind::message);
  put_content(out, content);
  put_varint(out, to.size());
  for (const Addressee& one : to) {
    put_u64(out, one.id);
    put_varint(out, one.number);
    put_u8(out, one.qos | (one.retain ? 4U : 0U) | (one.released ? 8U : 0U) | (one.sent ? 16U : 0U));
    put_varint(out, one.subscription_ids.size());
    for (const std::uint32_t id : one.subscription_ids) put_varint(out, id);
  }
}

void put_received(std::string& out, std::uint64_t id, std::uint16_t packet_id, const Content& content) {
  put_kind(out, Kind::received);
  put_u64(out, id);
  put_varint(out, packet_id);
  put_content(out, content);
}

void put_mark(std::string& out, Kind kind, std::uint64_t id, std::uint64_t number) {
  put_kind(out, kind);
  put_u64(out, id);
  put_varint(out, number);
}

void put_retained(std::string& out, const Content& content, std::uint64_t change) {
  put_kind(out, Kind::retained);
  put_varint(out, change);
  put_content(out, content);
}

Result<> read(std::string_view record, Visitor& visitor) {
  Reader reader(record);
  std::vector<Addressee> to;
  while (reader.more()) {
    const std::size_t start = reader.at();
    const std::uint8_t kind = reader.u8();
    const auto broken = [&] {
      return fail(ErrorCode::corrupt, "broker state, byte " + std::to_string(start) +
                                          " of the record: a change of kind " + std::to_string(kind) +
                                          " cannot be read");
    };
    switch (static_cast<Kind>(kind)) {
      case Kind::session: {
        Session session;
        session.id = reader.u64();
        session.key = reader.text();
        session.begun = {static_cast<std::int64_t>(reader.u64())};
        session.expiry_s = reader.u32();
        session.away_since = {static_cast<std::int64_t>(reader.u64())};
        session.next_number = reader.varint();
        if (reader.failed()) return broken();
        visitor.session(session);
        break;
      }
      case Kind::end: {
        const std::uint64_t id = reader.u64();
        if (reader.failed()) return broken();
        visitor.end(id);
        break;
      }
      case Kind::away: {
        const std::uint64_t id = reader.u64();
        const std::uint32_t expiry = reader.u32();
        const Time since{static_cast<std::int64_t>(reader.u64())};
        if (reader.failed()) return broken();
        visitor.away(id, expiry, since);
        break;
      }
      case Kind::subscribe: {
        Subscribe subscribe;
        subscribe.id = reader.u64();
        subscribe.filter = reader.text();
        const std::uint8_t bits = reader.u8();
        subscribe.options = {.qos = static_cast<std::uint8_t>(bits & 3),
                             .no_local = (bits & 4) != 0,
                             .retain_as_published = (bits & 8) != 0,
                             .retain_handling = static_cast<std::uint8_t>((bits >> 4) & 3)};
        subscribe.subscription_id = reader.u32();
        if (reader.failed() || subscribe.options.qos > 2) return broken();
        visitor.subscribe(subscribe);
        break;
      }
      case Kind::unsubscribe: {
        const std::uint64_t id = reader.u64();
        const std::string_view filter = reader.text();
        if (reader.failed()) return broken();
        visitor.unsubscribe(id, filter);
        break;
      }
      case Kind::message: {
        const Content content = content_of(reader);
        const std::uint64_t count = reader.varint();
        to.clear();
        for (std::uint64_t i = 0; i < count && !reader.failed(); ++i) {
          Addressee& one = to.emplace_back();
          one.id = reader.u64();
          one.number = reader.varint();
          const std::uint8_t flags = reader.u8();
          one.qos = flags & 3;
          one.retain = (flags & 4) != 0;
          one.released = (flags & 8) != 0;
          one.sent = (flags & 16) != 0;
          if (one.qos > 2) reader.fail();
          const std::uint64_t ids = reader.varint();
          for (std::uint64_t k = 0; k < ids && !reader.failed(); ++k) one.subscription_ids.push_back(reader.u32());
        }
        if (reader.failed()) return broken();
        visitor.message(content, to);
        break;
      }
      case Kind::received: {
        const std::uint64_t id = reader.u64();
        const std::uint64_t packet_id = reader.varint();
        const Content content = content_of(reader);
        if (reader.failed() || packet_id > UINT16_MAX) return broken();
        visitor.received(id, static_cast<std::uint16_t>(packet_id), content);
        break;
      }
      case Kind::settled:
      case Kind::released:
      case Kind::taken:
      case Kind::forgotten: {
        const std::uint64_t id = reader.u64();
        const std::uint64_t number = reader.varint();
        if (reader.failed()) return broken();
        visitor.mark(static_cast<Kind>(kind), id, number);
        break;
      }
      case Kind::retained: {
        const std::uint64_t change = reader.varint();
        const Content content = content_of(reader);
        if (reader.failed()) return broken();
        visitor.retained(content, change);
        break;
      }
      default: return broken();
    }
  }
  return {};
}

}  // namespace flux::broker::journal
