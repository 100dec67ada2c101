#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/line/series_rows.h"

namespace flux::wire::line {

/// From the bytes of measurement and tags, as they were sent, to the series: at most so many, those not heard from
/// lately make room (clock). One thread.
///
/// Senders repeat themselves: each slot remembers which one came after it, so that mostly a line is recognised by one
/// comparison of its bytes with those expected, and by one look-up else.
class SeriesCache {
 public:
  explicit SeriesCache(std::size_t capacity);
  ~SeriesCache();

  /// The series whose key is followed by a blank at `at`, when it is the one that came after the present one the last
  /// time. Null when it is another. At least `kPadding` bytes may be read behind `end`. Sets `size` to the key's.
  SeriesRows* expected(const char* at, const char* end, std::size_t& size);
  /// Null when it is not here.
  SeriesRows* find(std::string_view key);
  /// The same, without learning that it came after the one before.
  [[nodiscard]] SeriesRows* known(std::string_view key) const;
  SeriesRows& insert(std::string_view key, std::unique_ptr<SeriesRows> rows);
  void erase(std::string_view key);
  [[nodiscard]] std::size_t size() const { return used_; }

  /// One shared object for equal lists.
  FieldListPtr share(FieldList list);

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Slot {
    std::string key;  // empty: the slot is free
    std::uint64_t hash = 0;
    std::unique_ptr<SeriesRows> rows;
    std::uint32_t next = kNone;
    bool recent = false;
    bool newlines = false;  // in the key: never expected, so that such lines are counted the slow way
  };
  SeriesRows* present(std::uint32_t index);
  [[nodiscard]] std::uint32_t index_of(std::string_view key, std::uint64_t hash) const;
  void vacate(std::uint32_t index);
  std::uint32_t free_slot();

  struct Map;
  std::size_t capacity_;
  std::unique_ptr<Map> map_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t used_ = 0;
  std::uint32_t hand_ = 0;
  std::uint32_t last_ = kNone;
};

}  // namespace flux::wire::line
