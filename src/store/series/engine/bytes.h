#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace flux::store::engine {

/// Little-endian numbers and LEB128 varints appended to a string.
template <class T>
void put_fixed(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1) ^ (0 - (value & 1)));
}

inline void put_signed(std::string& out, std::int64_t value) { put_varint(out, zigzag(value)); }

inline void put_text(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out.append(text);
}

/// Reads what the functions above wrote, from bytes that may be anything: past the end every read gives zero and
/// `ok()` turns false for good, so that callers check once.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return ok_ && at_ == end_; }
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  void set_bad() {
    ok_ = false;
    at_ = end_;
  }

  template <class T>
  T fixed() {
    T value{};
    if (left() < sizeof value) {
      set_bad();
      return value;
    }
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; at_ != end_ && shift < 64; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(*at_++);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        if (shift == 63 && byte > 1) break;
        return value;
      }
    }
    set_bad();
    return 0;
  }

  std::int64_t signed_varint() { return unzigzag(varint()); }

  std::string_view bytes(std::uint64_t count) {
    if (count > left()) {
      set_bad();
      return {};
    }
    const std::string_view taken(at_, count);
    at_ += count;
    return taken;
  }

  std::string_view text() { return bytes(varint()); }
  std::string_view rest() { return bytes(left()); }

  /// A count of things that take at least `least_bytes` each, so that a damaged one cannot make us allocate much.
  std::uint64_t count(std::size_t least_bytes = 1) {
    const std::uint64_t value = varint();
    if (value > left() / least_bytes) {
      set_bad();
      return 0;
    }
    return value;
  }

 private:
  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace flux::store::engine
