#include "store/series/engine/part_writer.h"

#include <algorithm>

#include "store/series/engine/block_codec.h"

namespace flux::store::engine {
namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;
constexpr std::size_t kLeastForSummary = 8;  // smaller blocks are read faster than their summary is

std::int64_t floor_to(std::int64_t time, std::int64_t width) {
  const std::int64_t remainder = time % width;
  return time - (remainder < 0 ? remainder + width : remainder);
}

}  // namespace

Result<std::unique_ptr<PartWriter>> PartWriter::create(FileSystem& files, std::filesystem::path path,
                                                       std::uint64_t id) {
  TRY(auto file, files.create(path));
  std::unique_ptr<PartWriter> writer(new PartWriter(std::move(file), std::move(path)));
  writer->buffer_ = encode_header(id);
  writer->offset_ = writer->buffer_.size();
  return writer;
}

std::string_view PartWriter::keep(std::string_view text) {
  page_texts_.push_back(std::make_unique_for_overwrite<char[]>(text.size()));
  std::ranges::copy(text, page_texts_.back().get());
  page_bytes_ += text.size();
  return {page_texts_.back().get(), text.size()};
}

void PartWriter::begin_stem(const Stem& stem) {
  StemEntry entry;
  entry.stem = stem;
  entry.stem.database = keep(stem.database);
  entry.stem.retention_policy = keep(stem.retention_policy);
  entry.stem.measurement = keep(stem.measurement);
  entry.stem.device = keep(stem.device);
  for (auto& [key, value] : entry.stem.tags) {
    key = keep(key);
    value = keep(value);
  }
  entry.first_series = static_cast<std::uint32_t>(page_.series.size());
  page_.stems.push_back(std::move(entry));
  stem_times_.clear();
}

void PartWriter::begin_series(std::string_view field, ValueType type) {
  type_ = type;
  SeriesEntry entry;
  entry.field = keep(field);
  entry.type = type;
  entry.first_block = static_cast<std::uint32_t>(page_.value_blocks.size());
  page_.series.push_back(entry);
  series_values_ = 0;
  for (Rollup& rollup : rollups_) {
    rollup.rows.clear();
    rollup.dropped = type == ValueType::string;
  }
}

Result<> PartWriter::add(std::span<const std::int64_t> times, std::span<const Cell> cells) {
  if (times.empty()) return {};
  series_values_ += times.size();
  roll_up(times, cells);
  if (type_ == ValueType::string) {
    // One by one, since a block is cut by its text too. The text is copied: the caller's arena may be gone by the
    // time that the block is full.
    for (std::size_t i = 0; i < times.size(); ++i) {
      const std::string_view text = text_of(cells[i]);
      if (!pending_times_.empty() &&
          (pending_times_.size() == kMaxBlockValues || pending_text_bytes_ + text.size() > kMaxBlockText))
        DO(emit_block({}, {}));
      pending_times_.push_back(times[i]);
      pending_cells_.push_back(pending_texts_.add(text));
      pending_text_bytes_ += text.size();
    }
    return {};
  }
  while (!times.empty()) {
    if (pending_times_.empty() && times.size() >= kMaxBlockValues) {  // whole blocks need no copy
      DO(emit_block(times.first(kMaxBlockValues), cells.first(kMaxBlockValues)));
      times = times.subspan(kMaxBlockValues);
      cells = cells.subspan(kMaxBlockValues);
      continue;
    }
    const std::size_t taken = std::min(times.size(), kMaxBlockValues - pending_times_.size());
    pending_times_.insert(pending_times_.end(), times.begin(), times.begin() + static_cast<std::ptrdiff_t>(taken));
    pending_cells_.insert(pending_cells_.end(), cells.begin(), cells.begin() + static_cast<std::ptrdiff_t>(taken));
    times = times.subspan(taken);
    cells = cells.subspan(taken);
    if (pending_times_.size() == kMaxBlockValues) DO(emit_block({}, {}));
  }
  return {};
}

// Writes the given block, or the pending one.
Result<> PartWriter::emit_block(std::span<const std::int64_t> times, std::span<const Cell> cells) {
  const bool pending = times.empty();
  if (pending) {
    times = pending_times_;
    cells = pending_cells_;
  }
  ValueBlock block;
  TRY(block.time_block, emit_times(times));
  scratch_.clear();
  encode_values(type_, cells, scratch_);
  TRY(block.ref, emit(scratch_));
  block.summary = summarize(type_, times, cells);
  block.has_summary = type_ != ValueType::string && cells.size() >= kLeastForSummary;
  SeriesEntry& entry = page_.series.back();
  entry.last = cells.back();
  if (type_ == ValueType::string) entry.last_text = keep(text_of(cells.back()));
  first_time_ = std::min(first_time_, times.front());
  last_time_ = std::max(last_time_, times.back());
  page_.value_blocks.push_back(block);
  page_bytes_ += block.has_summary ? 50 : 12;
  if (pending) {
    pending_times_.clear();
    pending_cells_.clear();
    pending_texts_ = TextArena();
    pending_text_bytes_ = 0;
  }
  return {};
}

// The fields of one stem mostly have the same times: those are written once.
Result<std::uint32_t> PartWriter::emit_times(std::span<const std::int64_t> times) {
  const Fingerprint hash = hash128(std::as_bytes(times));
  for (const Times& known : stem_times_)
    if (known.hash == hash && page_.time_blocks[known.index].count == times.size()) return known.index;
  scratch_.clear();
  encode_times(times, scratch_);
  TimeBlock block{{}, static_cast<std::uint32_t>(times.size()), times.front(), times.back()};
  TRY(block.ref, emit(scratch_));
  const auto index = static_cast<std::uint32_t>(page_.time_blocks.size());
  page_.time_blocks.push_back(block);
  page_bytes_ += 18;
  stem_times_.push_back({hash, index});
  return index;
}

Result<BlockRef> PartWriter::emit(std::string_view bytes) {
  const BlockRef ref{offset_, static_cast<std::uint32_t>(bytes.size()), crc32c(std::as_bytes(std::span(bytes)))};
  buffer_ += bytes;
  offset_ += bytes.size();
  if (buffer_.size() >= kWriteBytes) {
    DO(file_->append(buffer_));
    buffer_.clear();
  }
  return ref;
}

void PartWriter::roll_up(std::span<const std::int64_t> times, std::span<const Cell> cells) {
  for (std::size_t resolution = 0; resolution < kResolutions.size(); ++resolution)
    if (!rollups_[resolution].dropped) roll_up(rollups_[resolution], resolution, times, cells);
}

void PartWriter::roll_up(Rollup& rollup, std::size_t resolution, std::span<const std::int64_t> times,
                         std::span<const Cell> cells) {
  const auto [width, least] = kResolutions[resolution];
  // Once it is clear that the rows will not pay, stop; the first few hundred readings may come slowly.
  constexpr std::uint64_t kPatience = 16;
  if (times.front() < INT64_MIN + width || times.back() > INT64_MAX - width ||
      rollup.rows.size() > kPatience + series_values_ / least) {
    rollup.dropped = true;
    return;
  }
  for (std::size_t from = 0; from < times.size();) {
    const std::int64_t start = floor_to(times[from], width);
    const auto to =
        static_cast<std::size_t>(std::ranges::lower_bound(times.subspan(from), start + width) - times.begin());
    if (rollup.rows.empty() || rollup.rows.back().start != start) {
      rollup.rows.push_back({start, {}});
      if (rollup.rows.size() > kPatience + series_values_ / least) {
        rollup.dropped = true;
        return;
      }
    }
    merge(type_, rollup.rows.back().summary,
          summarize(type_, times.subspan(from, to - from), cells.subspan(from, to - from)));
    from = to;
  }
}

Result<> PartWriter::emit_rollups() {
  SeriesEntry& entry = page_.series.back();
  entry.first_rollup = static_cast<std::uint32_t>(page_.rollups.size());
  for (std::size_t resolution = 0; resolution < kResolutions.size(); ++resolution) {
    const Rollup& rollup = rollups_[resolution];
    if (rollup.dropped || series_values_ / rollup.rows.size() < kResolutions[resolution].least_values_per_row) continue;
    for (std::span<const RollupRow> rows = rollup.rows; !rows.empty();) {
      const auto some = rows.first(std::min(rows.size(), kMaxBlockValues));
      rows = rows.subspan(some.size());
      RollupBlock block;
      block.resolution = static_cast<std::uint8_t>(resolution);
      block.rows = static_cast<std::uint32_t>(some.size());
      block.first_start = some.front().start;
      block.last_start = some.back().start;
      TRY(block.ref, emit(encode_rollups(type_, block.resolution, some)));
      page_.rollups.push_back(block);
      page_bytes_ += 20;
    }
  }
  entry.rollup_count = static_cast<std::uint32_t>(page_.rollups.size()) - entry.first_rollup;
  return {};
}

Result<> PartWriter::end_series(std::int64_t last_received_ns) {
  if (!pending_times_.empty()) DO(emit_block({}, {}));
  SeriesEntry& entry = page_.series.back();
  entry.block_count = static_cast<std::uint32_t>(page_.value_blocks.size()) - entry.first_block;
  if (entry.block_count == 0) {  // all of its points went elsewhere
    page_.series.pop_back();
    return {};
  }
  entry.last_received_ns = last_received_ns;
  DO(emit_rollups());
  values_ += series_values_;
  ++series_;
  return {};
}

Result<> PartWriter::end_stem() {
  StemEntry& entry = page_.stems.back();
  entry.series_count = static_cast<std::uint32_t>(page_.series.size()) - entry.first_series;
  if (entry.series_count == 0) {
    page_.stems.pop_back();
    return {};
  }
  ++stems_;
  if (page_bytes_ >= kIndexPageBytes) return emit_page();
  return {};
}

// A page follows the blocks it tells of; only the directory of pages lies at the end.
Result<> PartWriter::emit_page() {
  if (page_.stems.empty()) return {};
  const std::string bytes = encode_page(page_);
  PageRef ref;
  ref.first_stem = page_.stems.front().stem.fingerprint;
  TRY(ref.ref, emit(bytes));
  pages_.push_back(ref);
  page_ = IndexPage();
  page_texts_.clear();
  page_bytes_ = 0;
  return {};
}

Result<PartMeta> PartWriter::finish(PartMeta meta) {
  DO(emit_page());
  PartFooter footer;
  TRY(footer.directory, emit(encode_directory(pages_)));
  footer.pages = static_cast<std::uint32_t>(pages_.size());
  meta.values = values_;
  meta.series = series_;
  meta.stems = stems_;
  meta.first_time = first_time_;
  meta.last_time = last_time_;
  meta.bytes = offset_ + kPartFooterBytes;
  footer.meta = meta;
  buffer_ += encode_footer(footer);
  DO(file_->append(buffer_));
  DO(file_->sync());
  return meta;
}

}  // namespace flux::store::engine
