#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "core/ids.h"

namespace flux::wire::control {

/// Writes small values behind one another: integers as LEB128 varints (signed ones zigzag), strings with their length
/// before them, doubles and hashes as little-endian words. What control records and checkpoints are made of.
class Packer {
 public:
  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void boolean(bool value) { byte(value ? 1 : 0); }
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) byte(static_cast<std::uint8_t>(value | 0x80));
    byte(static_cast<std::uint8_t>(value));
  }
  void integer(std::int64_t value) {
    number((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
  }
  void word(std::uint64_t value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out_.append(bytes, sizeof value);
  }
  void real(double value) { word(std::bit_cast<std::uint64_t>(value)); }
  void text(std::string_view value) {
    number(value.size());
    out_.append(value);
  }
  void optional_real(const std::optional<double>& value) {
    boolean(value.has_value());
    if (value) real(*value);
  }

  [[nodiscard]] const std::string& bytes() const { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Reads what a `Packer` wrote. After the first thing that does not fit, `ok()` is false for good and everything reads
/// as zero or empty: so a decoder checks once, at its end. Never reads beyond the bytes, whatever they are.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}

  std::uint8_t byte() {
    if (at_ >= bytes_.size()) return bad<std::uint8_t>();
    return static_cast<std::uint8_t>(bytes_[at_++]);
  }
  bool boolean() {
    const std::uint8_t value = byte();
    return value <= 1 ? value == 1 : bad<bool>();
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      if (shift == 63 && next > 1) return bad<std::uint64_t>();
      value |= static_cast<std::uint64_t>(next & 0x7F) << shift;
      if ((next & 0x80) == 0) return value;
    }
    return bad<std::uint64_t>();
  }
  std::uint32_t number32() {
    const std::uint64_t value = number();
    return value <= UINT32_MAX ? static_cast<std::uint32_t>(value) : bad<std::uint32_t>();
  }
  std::int64_t integer() {
    const std::uint64_t value = number();
    return static_cast<std::int64_t>((value >> 1) ^ (0 - (value & 1)));
  }
  std::uint64_t word() {
    std::uint64_t value = 0;
    if (left() < sizeof value) return bad<std::uint64_t>();
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  double real() { return std::bit_cast<double>(word()); }
  std::string_view text() {
    const std::uint64_t size = number();
    if (size > left()) return bad<std::string_view>();
    const std::string_view value = bytes_.substr(at_, size);
    at_ += size;
    return value;
  }
  std::optional<double> optional_real() {
    if (!boolean()) return std::nullopt;
    return real();
  }
  /// The length of a list whose items take at least `item_bytes` each: a count that cannot be true is refused before
  /// anybody reserves memory for it.
  std::size_t count(std::size_t item_bytes = 1) {
    const std::uint64_t value = number();
    return value <= left() / item_bytes ? value : bad<std::size_t>();
  }

  void fail() { bad<int>(); }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  /// Where reading is, or where it went wrong.
  [[nodiscard]] std::size_t position() const { return ok_ ? at_ : bad_at_; }

 private:
  template <class T>
  T bad() {
    if (ok_) bad_at_ = at_;
    ok_ = false;
    at_ = bytes_.size();
    return T{};
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::size_t bad_at_ = 0;
  bool ok_ = true;
};

}  // namespace flux::wire::control
