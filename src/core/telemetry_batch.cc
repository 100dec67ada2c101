#include "core/telemetry_batch.h"

#include <bit>

namespace flux {

Result<std::shared_ptr<const TelemetryBatch>> TelemetryBatch::assemble(std::vector<GroupSpec> specs,
                                                                       std::vector<std::uint64_t> words,
                                                                       std::string heap, Time received_at) {
  auto batch = std::make_shared<TelemetryBatch>();
  batch->words_ = std::move(words);
  batch->heap_ = std::move(heap);
  batch->received_at_ = received_at;
  batch->groups_.reserve(specs.size());
  std::size_t at = 0;
  for (GroupSpec& spec : specs) {
    if (!spec.shape || spec.rows == 0) return fail(ErrorCode::corrupt, "a row group without shape or rows");
    Group& group = batch->groups_.emplace_back();
    group.shape_ = std::move(spec.shape);
    group.rows_ = spec.rows;
    group.has_validity_ = spec.has_validity;
    group.first_word_ = at;
    at += group.word_count();
    if (at > batch->words_.size()) return fail(ErrorCode::corrupt, "row groups need more words than the batch has");
    batch->row_count_ += spec.rows;
  }
  if (at != batch->words_.size()) return fail(ErrorCode::corrupt, "a batch has words beyond its last row group");
  for (const Group& group : batch->groups_) {
    for (std::size_t field = 0; field < group.shape().field_count(); ++field) {
      const auto bits = batch->validity(group, field);
      std::size_t present = group.rows();
      if (!bits.empty()) {
        present = 0;
        for (const std::uint64_t word : bits) present += static_cast<std::size_t>(std::popcount(word));
        if (group.rows() % 64 != 0 && (bits.back() >> (group.rows() % 64)) != 0)
          return fail(ErrorCode::corrupt, "validity bits beyond the last row");
      }
      batch->reading_count_ += present;
      if (group.shape().fields()[field].type != ValueType::string) continue;
      for (const Cell cell : batch->column(group, field)) {
        const StringRef ref = as_string_ref(cell);
        if (std::uint64_t{ref.offset} + ref.length > batch->heap_.size())
          return fail(ErrorCode::corrupt, "a string lies outside the batch's heap");
      }
    }
  }
  return batch;
}

std::size_t TelemetryBatch::memory_bytes() const {
  return sizeof *this + words_.capacity() * sizeof(Cell) + heap_.capacity() + groups_.capacity() * sizeof(Group);
}

Value TelemetryBatch::value(const Group& group, std::size_t field, std::size_t row) const {
  const Cell cell = column(group, field)[row];
  switch (group.shape().fields()[field].type) {
    case ValueType::float64: return as_float64(cell);
    case ValueType::int64: return as_int64(cell);
    case ValueType::uint64: return cell;
    case ValueType::boolean: return cell != 0;
    case ValueType::string: return std::string(string(cell));
  }
  return 0.0;
}

}  // namespace flux
