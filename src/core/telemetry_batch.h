#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/shape.h"
#include "core/time.h"
#include "core/value.h"

namespace flux {

/// Readings as columns: the unit on the log and on every hot path.
///
/// A batch is a list of row groups. A group has one shape, one time column and one column per field, all in one buffer
/// of 64-bit words that is also what the log writes:
///
/// ```
/// words of a group with R rows and F fields      V = (R + 63) / 64
///   times      R words        ns since the epoch, in arrival order (not sorted)
///   field 0    R words        Cells: double bits, integers, 0/1, or StringRef into the heap
///   …
///   field F-1  R words
///   validity   F × V words    only if has_validity: bit r of field f is 1 where the row has the value;
///                             a cell without a value is 0
/// ```
///
/// Rows of one series stand in arrival order: within a group by row, across groups by group. So "the last write wins"
/// can be told from the batch alone. Immutable once built; shared between threads as `BatchPtr`.
class TelemetryBatch {
 public:
  class Group {
   public:
    [[nodiscard]] const Shape& shape() const { return *shape_; }
    [[nodiscard]] const ShapePtr& shape_ptr() const { return shape_; }
    [[nodiscard]] std::size_t rows() const { return rows_; }
    [[nodiscard]] bool has_validity() const { return has_validity_; }
    [[nodiscard]] std::size_t validity_words() const { return (rows_ + 63) / 64; }
    [[nodiscard]] std::size_t word_count() const {
      return rows_ * (1 + shape_->field_count()) + (has_validity_ ? shape_->field_count() * validity_words() : 0);
    }

   private:
    friend class TelemetryBatch;
    friend class BatchBuilder;
    ShapePtr shape_;
    std::uint32_t rows_ = 0;
    bool has_validity_ = false;
    std::size_t first_word_ = 0;
  };

  /// What a codec read: shape, rows and whether validity follows, per group in order.
  struct GroupSpec {
    ShapePtr shape;
    std::uint32_t rows = 0;
    bool has_validity = false;
  };

  /// Builds a batch from decoded parts. `corrupt` when sizes do not add up or a string lies outside the heap.
  static Result<std::shared_ptr<const TelemetryBatch>> assemble(std::vector<GroupSpec> specs,
                                                                std::vector<std::uint64_t> words, std::string heap,
                                                                Time received_at);

  [[nodiscard]] const std::vector<Group>& groups() const { return groups_; }
  [[nodiscard]] std::span<const std::uint64_t> words() const { return words_; }
  [[nodiscard]] std::string_view heap() const { return heap_; }

  /// When ingest sealed the batch, by its clock: the arrival time of every reading in it.
  [[nodiscard]] Time received_at() const { return received_at_; }

  /// Number of values (readings), rows with several fields counted by each value that is present.
  [[nodiscard]] std::size_t reading_count() const { return reading_count_; }
  [[nodiscard]] std::size_t row_count() const { return row_count_; }
  /// Bytes this batch keeps in memory, shapes not counted.
  [[nodiscard]] std::size_t memory_bytes() const;

  [[nodiscard]] std::span<const std::int64_t> times(const Group& group) const {
    return {reinterpret_cast<const std::int64_t*>(words_.data() + group.first_word_), group.rows_};
  }
  [[nodiscard]] std::span<const Cell> column(const Group& group, std::size_t field) const {
    return {words_.data() + group.first_word_ + group.rows_ * (1 + field), group.rows_};
  }
  /// Empty when every row has the value.
  [[nodiscard]] std::span<const std::uint64_t> validity(const Group& group, std::size_t field) const {
    if (!group.has_validity_) return {};
    const std::size_t at = group.rows_ * (1 + group.shape_->field_count()) + field * group.validity_words();
    return {words_.data() + group.first_word_ + at, group.validity_words()};
  }
  [[nodiscard]] bool has(const Group& group, std::size_t field, std::size_t row) const {
    const auto bits = validity(group, field);
    return bits.empty() || ((bits[row / 64] >> (row % 64)) & 1) != 0;
  }
  [[nodiscard]] std::string_view string(Cell cell) const {
    const StringRef ref = as_string_ref(cell);
    return std::string_view(heap_).substr(ref.offset, ref.length);
  }
  /// One value, copied out: for edges and tests.
  [[nodiscard]] Value value(const Group& group, std::size_t field, std::size_t row) const;

 private:
  friend class BatchBuilder;
  std::vector<Group> groups_;
  std::vector<std::uint64_t> words_;
  std::string heap_;
  Time received_at_;
  std::size_t reading_count_ = 0;
  std::size_t row_count_ = 0;
};

using BatchPtr = std::shared_ptr<const TelemetryBatch>;

}  // namespace flux
