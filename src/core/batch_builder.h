#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/telemetry_batch.h"

namespace flux {

/// Collects rows as they are parsed and turns them into a `TelemetryBatch`. One thread. Reused after `seal`, so that
/// in steady state a row costs no allocation.
///
/// Rows are staged one after another and scattered into columns by `seal`, when the number of rows per group is known:
/// a batch of a thousand devices with one row each costs the same as one device with a thousand rows.
class BatchBuilder {
 public:
  BatchBuilder();
  ~BatchBuilder();
  BatchBuilder(BatchBuilder&&) noexcept;
  BatchBuilder& operator=(BatchBuilder&&) noexcept;

  /// Adds a row of `shape` and returns its cells, one per field, all zero, to be filled before the next call.
  /// Every field counts as present until `set_missing`.
  std::span<Cell> add_row(const ShapePtr& shape, Time time);

  /// Says that the row added last has no value for `field`.
  void set_missing(std::size_t field);

  /// Copies `text` into the batch's heap; the cell for it. At most 4 GiB of text per batch.
  Cell add_string(std::string_view text);

  /// A place to go back to: everything added after `mark` is forgotten by `rollback` (a message refused half way).
  struct Mark {
    std::size_t staged = 0;
    std::size_t heap = 0;
    std::size_t rows = 0;
    std::size_t readings = 0;
  };
  [[nodiscard]] Mark mark() const;
  void rollback(const Mark& mark);

  [[nodiscard]] bool empty() const;
  [[nodiscard]] std::size_t row_count() const;
  [[nodiscard]] std::size_t reading_count() const;
  /// Roughly what the sealed batch will take in memory and on the log.
  [[nodiscard]] std::size_t byte_count() const;

  /// The batch of all rows since the last seal; the builder is empty afterwards.
  BatchPtr seal(Time received_at);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flux
