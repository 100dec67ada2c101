#include "store/series/engine/head.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "store/series/engine/version.h"

namespace flux::store::engine {
namespace {

constexpr std::uint32_t kFirstChunkRows = 8;
constexpr std::uint32_t kGreatestChunkRows = 1024;

// The newest row of those that have the value, the last of equal times; `rows` when there is none.
std::size_t newest_row(std::span<const std::int64_t> times, std::span<const std::uint64_t> validity) {
  std::size_t newest = times.size();
  for (std::size_t row = 0; row < times.size(); ++row) {
    if (!validity.empty() && ((validity[row / 64] >> (row % 64)) & 1) == 0) continue;
    if (newest == times.size() || times[row] >= times[newest]) newest = row;
  }
  return newest;
}

}  // namespace

HeadChunk::HeadChunk(std::uint32_t rows, std::size_t fields)
    : capacity(rows),
      words(std::make_unique_for_overwrite<std::uint64_t[]>(rows * (1 + fields))),
      orders(std::make_unique_for_overwrite<std::uint32_t[]>(rows)) {}

std::size_t HeadChunk::memory_bytes(std::uint32_t rows, std::size_t fields) {
  return sizeof(HeadChunk) + sizeof(ShapeHead::Chunk) + rows * (8 * (1 + fields) + 4) + 48;
}

ShapeHead::ShapeHead(ShapePtr shape, std::span<const SeriesNumber> series)
    : shape_(std::move(shape)), series_(series.begin(), series.end()), newest_(series.size()) {}

std::size_t ShapeHead::append(const TelemetryBatch& batch, const TelemetryBatch::Group& group, std::uint32_t order,
                              TextArena& texts) {
  const std::size_t fields = shape_->field_count();
  const auto times = batch.times(group);
  const std::size_t texts_before = texts.memory_bytes();
  std::size_t grown = 0;

  for (std::size_t row = 0; row < times.size();) {
    if (chunks_.empty() || chunks_.back().rows == chunks_.back().data->capacity) {
      const std::uint32_t capacity =
          chunks_.empty() ? kFirstChunkRows : std::min(kGreatestChunkRows, 2 * chunks_.back().data->capacity);
      chunks_.push_back({std::make_unique<HeadChunk>(capacity, fields)});
      grown += HeadChunk::memory_bytes(capacity, fields);
    }
    Chunk& chunk = chunks_.back();
    HeadChunk& data = *chunk.data;
    const std::size_t count = std::min<std::size_t>(times.size() - row, data.capacity - chunk.rows);
    const std::size_t to = chunk.rows;

    std::memcpy(data.times().data() + to, times.data() + row, count * 8);
    std::fill_n(data.orders.get() + to, count, order);
    for (std::size_t field = 0; field < fields; ++field) {
      const auto column = batch.column(group, field).subspan(row, count);
      const ValueType type = shape_->fields()[field].type;
      if (type == ValueType::boolean) {  // whatever the bits, so that every part can be read again
        std::ranges::transform(column, data.column(field).data() + to, [](Cell cell) { return to_cell(cell != 0); });
      } else if (type != ValueType::string) {
        std::memcpy(data.column(field).data() + to, column.data(), count * 8);
      } else {
        for (std::size_t i = 0; i < count; ++i)
          if (batch.has(group, field, row + i)) data.column(field)[to + i] = texts.add(batch.string(column[i]));
      }
    }
    if (group.has_validity() && data.validity == nullptr) {
      data.validity = std::make_unique<std::atomic<std::uint64_t>[]>(fields * data.validity_words());
      grown += fields * data.validity_words() * 8;
      for (std::size_t i = 0; i < fields * data.validity_words(); ++i)
        data.validity[i].store(~0ULL, std::memory_order_relaxed);
    }
    if (data.validity != nullptr && group.has_validity()) {
      for (std::size_t field = 0; field < fields; ++field) {
        std::atomic<std::uint64_t>* bits = data.validity.get() + field * data.validity_words();
        for (std::size_t i = 0; i < count; ++i)
          if (!batch.has(group, field, row + i))
            bits[(to + i) / 64].fetch_and(~(1ULL << ((to + i) % 64)), std::memory_order_relaxed);
      }
    }
    const auto [first, last] = std::ranges::minmax(times.subspan(row, count));
    chunk.first_time = std::min(chunk.first_time, first);
    chunk.last_time = std::max(chunk.last_time, last);
    chunk.rows += static_cast<std::uint32_t>(count);
    row += count;
  }

  const std::int64_t received = batch.received_at().ns;
  const std::size_t newest_of_all = group.has_validity() ? 0 : newest_row(times, {});
  for (std::size_t field = 0; field < fields; ++field) {
    const auto validity = batch.validity(group, field);
    const std::size_t row = validity.empty() ? newest_of_all : newest_row(times, validity);
    NewestInHead& newest = newest_[field];
    if (row == times.size() || (newest.any && times[row] < newest.time)) continue;
    Cell cell = batch.column(group, field)[row];
    if (shape_->fields()[field].type == ValueType::string) cell = texts.add(batch.string(cell));
    if (shape_->fields()[field].type == ValueType::boolean) cell = to_cell(cell != 0);
    newest = {true, times[row], received, order, cell};
  }
  return grown + texts.memory_bytes() - texts_before;
}

ColumnView view_column(const ShapeHead& head, std::size_t field) {
  ColumnView view;
  view.field = field;
  view.chunks.reserve(head.chunks().size());
  for (const ShapeHead::Chunk& chunk : head.chunks()) {
    const auto* validity = chunk.data->validity.get();
    view.chunks.push_back({chunk.data.get(),
                           validity == nullptr ? nullptr : validity + field * chunk.data->validity_words(), chunk.rows,
                           chunk.first_time, chunk.last_time});
  }
  return view;
}

Run gather(std::span<const ColumnView> columns, TimeRange range, std::span<const ErasedRows> erased) {
  Run run;
  std::vector<std::uint32_t> orders;
  bool ascends = true;
  for (const ColumnView& column : columns) {
    for (const ColumnView::Chunk& chunk : column.chunks) {
      if (chunk.rows == 0 || !overlaps(chunk.first_time, chunk.last_time, range)) continue;
      const auto times = chunk.data->times();
      const auto cells = chunk.data->column(column.field);
      const bool whole = is_within(chunk.first_time, range) && is_within(chunk.last_time, range);
      for (std::uint32_t row = 0; row < chunk.rows; ++row) {
        const std::int64_t time = times[row];
        if (!whole && !is_within(time, range)) continue;
        if (chunk.validity != nullptr &&
            ((chunk.validity[row / 64].load(std::memory_order_relaxed) >> (row % 64)) & 1) == 0)
          continue;
        const std::uint32_t order = chunk.data->orders[row];
        if (!erased.empty() && std::ranges::any_of(erased, [&](const ErasedRows& rows) {
              return order < rows.before_order && is_within(time, rows.range);
            }))
          continue;
        ascends = ascends && (run.times.empty() || run.times.back() < time);
        run.times.push_back(time);
        run.cells.push_back(cells[row]);
        orders.push_back(order);
      }
    }
  }
  if (ascends) return run;

  // Rows of one append stand in their order.
  std::vector<std::uint32_t> rows(run.times.size());
  for (std::uint32_t i = 0; i < rows.size(); ++i) rows[i] = i;
  std::ranges::sort(rows, [&](std::uint32_t a, std::uint32_t b) {
    if (run.times[a] != run.times[b]) return run.times[a] < run.times[b];
    return orders[a] != orders[b] ? orders[a] < orders[b] : a < b;
  });
  Run sorted;
  sorted.times.reserve(rows.size());
  sorted.cells.reserve(rows.size());
  for (const std::uint32_t row : rows) {
    if (!sorted.times.empty() && sorted.times.back() == run.times[row]) {
      sorted.cells.back() = run.cells[row];
    } else {
      sorted.times.push_back(run.times[row]);
      sorted.cells.push_back(run.cells[row]);
    }
  }
  return sorted;
}

Run gather_newest(std::span<const ColumnView> columns, TimeRange range, std::span<const ErasedRows> erased,
                  std::size_t count) {
  std::vector<std::int64_t> ends;
  for (const ColumnView& column : columns)
    for (const ColumnView::Chunk& chunk : column.chunks)
      if (chunk.rows > 0 && overlaps(chunk.first_time, chunk.last_time, range)) ends.push_back(chunk.last_time);
  std::ranges::sort(ends, std::greater<>());
  // Later than the end of the chunk after those looked at, there is nothing but what they have.
  for (std::size_t looked_at = 1 + count / kGreatestChunkRows; looked_at < ends.size(); looked_at *= 2) {
    const std::int64_t after = ends[looked_at];
    if (after >= ends[0]) continue;
    Run run = gather(columns, {std::max(range.from, Time{after + 1}), range.to}, erased);
    if (run.times.size() >= count) return run;
  }
  return gather(columns, range, erased);
}

}  // namespace flux::store::engine
