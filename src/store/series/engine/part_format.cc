#include "store/series/engine/part_format.h"

#include <zstd.h>

#include <algorithm>
#include <limits>

#include "core/hash.h"
#include "store/series/engine/block_codec.h"
#include "store/series/engine/bytes.h"
#include "store/series/engine/float_codec.h"
#include "store/series/engine/int_codec.h"

namespace flux::store::engine {
namespace {

constexpr std::size_t kGreatestPage = 64 * 1024 * 1024;
constexpr std::size_t kPageRefBytes = 16 + 8 + 4 + 4;

enum SummaryFlag : std::uint8_t { kHasSummary = 1, kHasLow = 2, kConstant = 4 };

std::uint32_t checksum(std::string_view bytes) { return crc32c(std::as_bytes(std::span(bytes))); }

std::unexpected<Error> damaged(const char* what) { return fail(ErrorCode::corrupt, std::string("damaged ") + what); }

// Offsets mostly continue where the reference before ended, so they are kept as the distance from there.
class RefWriter {
 public:
  void put(const BlockRef& ref, std::string& out) {
    put_signed(out, static_cast<std::int64_t>(ref.offset - expected_));
    put_varint(out, ref.size);
    put_fixed(out, ref.crc);
    expected_ = ref.offset + ref.size;
  }

 private:
  std::uint64_t expected_ = 0;
};

class RefReader {
 public:
  BlockRef get(ByteReader& in) {
    BlockRef ref;
    ref.offset = expected_ + static_cast<std::uint64_t>(in.signed_varint());
    const std::uint64_t size = in.varint();
    if (size > std::numeric_limits<std::uint32_t>::max()) in.set_bad();
    ref.size = static_cast<std::uint32_t>(size);
    ref.crc = in.fixed<std::uint32_t>();
    expected_ = ref.offset + ref.size;
    return ref;
  }

 private:
  std::uint64_t expected_ = 0;
};

void put_cell(ValueType type, Cell cell, std::string& out) {
  if (type == ValueType::float64) put_fixed(out, cell);
  else put_signed(out, as_int64(cell));
}

Cell get_cell(ValueType type, ByteReader& in) {
  return type == ValueType::float64 ? in.fixed<Cell>() : to_cell(in.signed_varint());
}

void put_summary(ValueType type, const ValueBlock& block, std::string& out) {
  const Summary& summary = block.summary;
  std::uint8_t flags = 0;
  if (block.has_summary) {
    flags |= kHasSummary;
    if (summary.sum.low != 0) flags |= kHasLow;
    if (summary.first == summary.last && summary.first == summary.min && summary.first == summary.max)
      flags |= kConstant;
  }
  out.push_back(static_cast<char>(flags));
  if (flags == 0) return;
  put_cell(type, summary.first, out);
  if ((flags & kConstant) == 0) {
    put_cell(type, summary.last, out);
    put_cell(type, summary.min, out);
    put_cell(type, summary.max, out);
  }
  put_fixed(out, summary.sum.high);
  if ((flags & kHasLow) != 0) put_fixed(out, summary.sum.low);
}

void get_summary(ValueType type, ByteReader& in, ValueBlock& block) {
  const auto flags = in.fixed<std::uint8_t>();
  if (flags == 0) return;
  if ((flags & kHasSummary) == 0 || flags > (kHasSummary | kHasLow | kConstant)) in.set_bad();
  block.has_summary = true;
  Summary& summary = block.summary;
  summary.first = summary.last = summary.min = summary.max = get_cell(type, in);
  if ((flags & kConstant) == 0) {
    summary.last = get_cell(type, in);
    summary.min = get_cell(type, in);
    summary.max = get_cell(type, in);
  }
  summary.sum.high = in.fixed<double>();
  if ((flags & kHasLow) != 0) summary.sum.low = in.fixed<double>();
}

class PageDecoder {
 public:
  explicit PageDecoder(IndexPage& page) : page_(page), in_(page.bytes) {}

  bool decode() {
    const std::uint64_t stems = in_.count(24);
    for (std::uint64_t i = 0; i < stems && in_.ok(); ++i) decode_stem();
    return in_.done();
  }

 private:
  void decode_stem() {
    StemEntry entry;
    Stem& stem = entry.stem;
    stem.fingerprint.high = in_.fixed<std::uint64_t>();
    stem.fingerprint.low = in_.fixed<std::uint64_t>();
    if (!page_.stems.empty() && page_.stems.back().stem.fingerprint >= stem.fingerprint) in_.set_bad();
    stem.partition.value = static_cast<std::uint16_t>(in_.varint());
    stem.tenant.value = static_cast<std::uint32_t>(in_.varint());
    stem.database = in_.text();
    stem.retention_policy = in_.text();
    stem.measurement = in_.text();
    stem.device = in_.text();
    const std::uint64_t tags = in_.count(2);
    for (std::uint64_t i = 0; i < tags && in_.ok(); ++i) {
      const std::string_view key = in_.text();
      stem.tags.emplace_back(key, in_.text());
    }
    first_time_block_ = page_.time_blocks.size();
    const std::uint64_t time_blocks = in_.count(7);
    std::int64_t previous = 0;
    for (std::uint64_t i = 0; i < time_blocks && in_.ok(); ++i) {
      TimeBlock block;
      block.ref = refs_.get(in_);
      block.count = static_cast<std::uint32_t>(in_.varint());
      // Wrapping, because two times may lie further apart than an int64 tells.
      block.first = static_cast<std::int64_t>(static_cast<std::uint64_t>(previous) +
                                              static_cast<std::uint64_t>(in_.signed_varint()));
      block.last = static_cast<std::int64_t>(static_cast<std::uint64_t>(block.first) + in_.varint());
      if (block.count == 0 || block.count > kMaxBlockValues || block.last < block.first) in_.set_bad();
      previous = block.last;
      page_.time_blocks.push_back(block);
    }
    entry.first_series = static_cast<std::uint32_t>(page_.series.size());
    entry.series_count = static_cast<std::uint32_t>(in_.count(8));
    if (entry.series_count == 0) in_.set_bad();
    for (std::uint32_t i = 0; i < entry.series_count && in_.ok(); ++i) decode_series(i > 0);
    page_.stems.push_back(std::move(entry));
  }

  void decode_series(bool has_neighbour) {
    SeriesEntry entry;
    entry.field = in_.text();
    if (has_neighbour && page_.series.back().field >= entry.field) in_.set_bad();
    const auto type = in_.fixed<std::uint8_t>();
    if (type < 1 || type > 5) return in_.set_bad();
    entry.type = static_cast<ValueType>(type);
    entry.last_received_ns = in_.signed_varint();
    if (entry.type == ValueType::string) entry.last_text = in_.text();
    else entry.last = get_cell(entry.type, in_);

    entry.first_block = static_cast<std::uint32_t>(page_.value_blocks.size());
    entry.block_count = static_cast<std::uint32_t>(in_.count(7));
    if (entry.block_count == 0) in_.set_bad();
    std::uint64_t expected = 0;
    for (std::uint32_t i = 0; i < entry.block_count && in_.ok(); ++i) {
      ValueBlock block;
      const std::uint64_t time_block = expected + static_cast<std::uint64_t>(in_.signed_varint());
      expected = time_block + 1;
      if (time_block >= page_.time_blocks.size() - first_time_block_) return in_.set_bad();
      block.time_block = static_cast<std::uint32_t>(first_time_block_ + time_block);
      block.ref = refs_.get(in_);
      get_summary(entry.type, in_, block);
      const TimeBlock& times = page_.time_blocks[block.time_block];
      block.summary.count = times.count;
      block.summary.first_time = times.first;
      block.summary.last_time = times.last;
      if (i > 0 && page_.value_blocks.back().summary.last_time >= times.first) in_.set_bad();
      page_.value_blocks.push_back(block);
    }

    entry.first_rollup = static_cast<std::uint32_t>(page_.rollups.size());
    entry.rollup_count = static_cast<std::uint32_t>(in_.count(9));
    for (std::uint32_t i = 0; i < entry.rollup_count && in_.ok(); ++i) {
      RollupBlock block;
      block.resolution = in_.fixed<std::uint8_t>();
      if (block.resolution >= kResolutions.size()) return in_.set_bad();
      block.rows = static_cast<std::uint32_t>(in_.varint());
      block.ref = refs_.get(in_);
      const std::int64_t width = kResolutions[block.resolution].width_ns;
      const std::int64_t first = in_.signed_varint();
      const std::int64_t last = in_.signed_varint();
      const std::int64_t greatest = std::numeric_limits<std::int64_t>::max() / width;
      if (block.rows == 0 || block.rows > kMaxBlockValues || first > last || first < -greatest || last > greatest)
        return in_.set_bad();
      block.first_start = first * width;
      block.last_start = last * width;
      page_.rollups.push_back(block);
    }
    page_.series.push_back(entry);
  }

  IndexPage& page_;
  ByteReader in_;
  RefReader refs_;
  std::size_t first_time_block_ = 0;
};

void encode_stem(const IndexPage& page, const StemEntry& entry, std::size_t time_block, std::size_t time_blocks,
                 RefWriter& refs, std::string& out) {
  const Stem& stem = entry.stem;
  put_fixed(out, stem.fingerprint.high);
  put_fixed(out, stem.fingerprint.low);
  put_varint(out, stem.partition.value);
  put_varint(out, stem.tenant.value);
  put_text(out, stem.database);
  put_text(out, stem.retention_policy);
  put_text(out, stem.measurement);
  put_text(out, stem.device);
  put_varint(out, stem.tags.size());
  for (const auto& [key, value] : stem.tags) {
    put_text(out, key);
    put_text(out, value);
  }
  put_varint(out, time_blocks);
  std::int64_t previous = 0;
  for (const TimeBlock& block : std::span(page.time_blocks).subspan(time_block, time_blocks)) {
    refs.put(block.ref, out);
    put_varint(out, block.count);
    put_signed(
        out, static_cast<std::int64_t>(static_cast<std::uint64_t>(block.first) - static_cast<std::uint64_t>(previous)));
    put_varint(out, static_cast<std::uint64_t>(block.last) - static_cast<std::uint64_t>(block.first));
    previous = block.last;
  }
  put_varint(out, entry.series_count);
  for (const SeriesEntry& series : page.series_of(entry)) {
    put_text(out, series.field);
    out.push_back(static_cast<char>(series.type));
    put_signed(out, series.last_received_ns);
    if (series.type == ValueType::string) put_text(out, series.last_text);
    else put_cell(series.type, series.last, out);
    put_varint(out, series.block_count);
    std::uint64_t expected = 0;
    for (const ValueBlock& block : page.blocks_of(series)) {
      const std::uint64_t index = block.time_block - time_block;
      put_signed(out, static_cast<std::int64_t>(index - expected));
      expected = index + 1;
      refs.put(block.ref, out);
      put_summary(series.type, block, out);
    }
    put_varint(out, series.rollup_count);
    for (const RollupBlock& block : page.rollups_of(series)) {
      const std::int64_t width = kResolutions[block.resolution].width_ns;
      out.push_back(static_cast<char>(block.resolution));
      put_varint(out, block.rows);
      refs.put(block.ref, out);
      put_signed(out, block.first_start / width);
      put_signed(out, block.last_start / width);
    }
  }
}

}  // namespace

std::size_t IndexPage::memory_bytes() const {
  std::size_t bytes_used = sizeof *this + bytes.capacity() + stems.capacity() * sizeof(StemEntry) +
                           series.capacity() * sizeof(SeriesEntry) + time_blocks.capacity() * sizeof(TimeBlock) +
                           value_blocks.capacity() * sizeof(ValueBlock) + rollups.capacity() * sizeof(RollupBlock);
  for (const StemEntry& entry : stems) bytes_used += entry.stem.tags.capacity() * sizeof(entry.stem.tags[0]);
  return bytes_used;
}

std::string encode_header(std::uint64_t part) {
  std::string out(kPartMagic);
  put_fixed(out, kPartVersion);
  put_fixed(out, std::uint16_t{0});  // flags
  put_fixed(out, std::uint32_t{0});  // key id: not encrypted
  out.append(16, '\0');              // nonce
  put_fixed(out, part);
  out.append(kPartHeaderBytes - 4 - out.size(), '\0');
  put_fixed(out, checksum(out));
  return out;
}

Result<> check_header(std::string_view bytes) {
  if (bytes.size() < kPartHeaderBytes || !bytes.starts_with(kPartMagic)) return damaged("part header");
  ByteReader in(bytes.substr(kPartMagic.size()));
  const auto version = in.fixed<std::uint16_t>();
  const auto flags = in.fixed<std::uint16_t>();
  const auto key = in.fixed<std::uint32_t>();
  ByteReader end(bytes.substr(kPartHeaderBytes - 4));
  if (end.fixed<std::uint32_t>() != checksum(bytes.substr(0, kPartHeaderBytes - 4))) return damaged("part header");
  if (version < kOldestPartVersion || version > kPartVersion)
    return fail(ErrorCode::corrupt, "part of format version " + std::to_string(version) + ", this program reads " +
                                        std::to_string(kOldestPartVersion) + " to " + std::to_string(kPartVersion));
  if (flags != 0 || key != 0) return fail(ErrorCode::corrupt, "part is encrypted, and there is no key");
  return {};
}

std::string encode_footer(const PartFooter& footer) {
  const PartMeta& meta = footer.meta;
  std::string out(kPartEndMagic);
  put_fixed(out, meta.id);
  put_fixed(out, meta.bytes);
  put_fixed(out, meta.first_flush);
  put_fixed(out, meta.last_flush);
  put_fixed(out, meta.erased_to);
  put_fixed(out, meta.first_time);
  put_fixed(out, meta.last_time);
  put_fixed(out, meta.values);
  put_fixed(out, meta.series);
  put_fixed(out, meta.stems);
  put_fixed(out, footer.directory.offset);
  put_fixed(out, footer.directory.size);
  put_fixed(out, footer.directory.crc);
  put_fixed(out, footer.pages);
  put_fixed(out, meta.level);
  out.append(kPartFooterBytes - 4 - out.size(), '\0');
  put_fixed(out, checksum(out));
  return out;
}

Result<PartFooter> decode_footer(std::string_view bytes) {
  if (bytes.size() != kPartFooterBytes || !bytes.starts_with(kPartEndMagic)) return damaged("part footer");
  ByteReader end(bytes.substr(kPartFooterBytes - 4));
  if (end.fixed<std::uint32_t>() != checksum(bytes.substr(0, kPartFooterBytes - 4))) return damaged("part footer");
  ByteReader in(bytes.substr(kPartEndMagic.size()));
  PartFooter footer;
  PartMeta& meta = footer.meta;
  meta.id = in.fixed<std::uint64_t>();
  meta.bytes = in.fixed<std::uint64_t>();
  meta.first_flush = in.fixed<std::uint64_t>();
  meta.last_flush = in.fixed<std::uint64_t>();
  meta.erased_to = in.fixed<std::uint64_t>();
  meta.first_time = in.fixed<std::int64_t>();
  meta.last_time = in.fixed<std::int64_t>();
  meta.values = in.fixed<std::uint64_t>();
  meta.series = in.fixed<std::uint64_t>();
  meta.stems = in.fixed<std::uint64_t>();
  footer.directory.offset = in.fixed<std::uint64_t>();
  footer.directory.size = in.fixed<std::uint32_t>();
  footer.directory.crc = in.fixed<std::uint32_t>();
  footer.pages = in.fixed<std::uint32_t>();
  meta.level = in.fixed<std::uint8_t>();
  return footer;
}

std::string encode_directory(std::span<const PageRef> pages) {
  std::string out;
  for (const PageRef& page : pages) {
    put_fixed(out, page.first_stem.high);
    put_fixed(out, page.first_stem.low);
    put_fixed(out, page.ref.offset);
    put_fixed(out, page.ref.size);
    put_fixed(out, page.ref.crc);
  }
  return out;
}

Result<std::vector<PageRef>> decode_directory(std::string_view bytes, std::uint32_t pages) {
  if (bytes.size() != std::size_t{pages} * kPageRefBytes) return damaged("part directory");
  ByteReader in(bytes);
  std::vector<PageRef> out(pages);
  for (PageRef& page : out) {
    page.first_stem.high = in.fixed<std::uint64_t>();
    page.first_stem.low = in.fixed<std::uint64_t>();
    page.ref.offset = in.fixed<std::uint64_t>();
    page.ref.size = in.fixed<std::uint32_t>();
    page.ref.crc = in.fixed<std::uint32_t>();
  }
  if (!std::ranges::is_sorted(out, {}, &PageRef::first_stem)) return damaged("part directory");
  return out;
}

std::string encode_page(const IndexPage& page) {
  std::string raw;
  put_varint(raw, page.stems.size());
  RefWriter refs;
  std::size_t time_block = 0;
  for (const StemEntry& entry : page.stems) {
    // Each stem's time blocks follow those of the stem before; its value blocks use no others.
    std::size_t end = time_block;
    for (const SeriesEntry& series : page.series_of(entry))
      for (const ValueBlock& block : page.blocks_of(series)) end = std::max<std::size_t>(end, block.time_block + 1);
    encode_stem(page, entry, time_block, end - time_block, refs, raw);
    time_block = end;
  }
  // u32 raw length, so that a reader knows what to expect before it unpacks anything.
  std::string out;
  put_fixed(out, static_cast<std::uint32_t>(raw.size()));
  const std::size_t start = out.size();
  out.resize(start + ZSTD_compressBound(raw.size()));
  const std::size_t size = ZSTD_compress(out.data() + start, out.size() - start, raw.data(), raw.size(), 3);
  CHECK(ZSTD_isError(size) == 0U);
  out.resize(start + size);
  return out;
}

Result<IndexPagePtr> decode_page(std::string bytes) {
  ByteReader in(bytes);
  const auto size = in.fixed<std::uint32_t>();
  const std::string_view packed = in.rest();
  if (!in.ok() || size > kGreatestPage || ZSTD_getFrameContentSize(packed.data(), packed.size()) != size)
    return damaged("index page");
  auto page = std::make_shared<IndexPage>();
  page->bytes.resize(size);
  if (ZSTD_decompress(page->bytes.data(), size, packed.data(), packed.size()) != size) return damaged("index page");
  if (!PageDecoder(*page).decode()) return damaged("index page");
  return page;
}

std::string encode_rollups(ValueType type, std::uint8_t resolution, std::span<const RollupRow> rows) {
  const std::int64_t width = kResolutions[resolution].width_ns;
  std::string out;
  std::vector<std::uint64_t> column(rows.size());
  const auto put_ints = [&](auto&& get) {
    for (std::size_t i = 0; i < rows.size(); ++i) column[i] = static_cast<std::uint64_t>(get(rows[i]));
    encode_ints(column, out);
  };
  const auto put_cells = [&](ValueType as, auto&& get) {
    for (std::size_t i = 0; i < rows.size(); ++i) column[i] = get(rows[i].summary);
    if (as == ValueType::float64) encode_floats(column, out);
    else encode_ints(column, out);
  };
  // The bit stream that a column of doubles may be coded as has no end of its own, so each column has its length.
  const auto column_of = [&](auto&& put) {
    std::string all = std::exchange(out, {});
    put();
    put_text(all, out);
    out = std::move(all);
  };
  column_of([&] { put_ints([&](const RollupRow& row) { return row.start / width; }); });
  column_of([&] { put_ints([](const RollupRow& row) { return row.summary.count; }); });
  column_of([&] { put_ints([](const RollupRow& row) { return row.summary.first_time - row.start; }); });
  column_of([&] { put_ints([](const RollupRow& row) { return row.summary.last_time - row.start; }); });
  column_of([&] { put_cells(type, [](const Summary& s) { return s.first; }); });
  column_of([&] { put_cells(type, [](const Summary& s) { return s.last; }); });
  column_of([&] { put_cells(type, [](const Summary& s) { return s.min; }); });
  column_of([&] { put_cells(type, [](const Summary& s) { return s.max; }); });
  column_of([&] { put_cells(ValueType::float64, [](const Summary& s) { return to_cell(s.sum.high); }); });
  column_of([&] { put_cells(ValueType::float64, [](const Summary& s) { return to_cell(s.sum.low); }); });
  return out;
}

Result<std::vector<RollupRow>> decode_rollups(ValueType type, const RollupBlock& block, std::string_view bytes) {
  const std::int64_t width = kResolutions[block.resolution].width_ns;
  std::vector<RollupRow> rows(block.rows);
  std::vector<std::uint64_t> column(block.rows);
  ByteReader in(bytes);
  bool good = true;
  const auto get = [&](ValueType as, auto&& put) {
    ByteReader part(in.text());
    good = good && in.ok() &&
           (as == ValueType::float64 ? decode_floats(part, rows.size(), column.data())
                                     : decode_ints(part, rows.size(), column.data()));
    for (std::size_t i = 0; good && i < rows.size(); ++i) put(rows[i], column[i]);
  };
  constexpr ValueType kNumber = ValueType::int64;
  get(kNumber, [&](RollupRow& row, Cell cell) {
    row.start = static_cast<std::int64_t>(cell * static_cast<std::uint64_t>(width));
  });
  get(kNumber, [](RollupRow& row, Cell cell) { row.summary.count = cell; });
  const auto at = [](const RollupRow& row, Cell cell) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(row.start) + cell);
  };
  get(kNumber, [&](RollupRow& row, Cell cell) { row.summary.first_time = at(row, cell); });
  get(kNumber, [&](RollupRow& row, Cell cell) { row.summary.last_time = at(row, cell); });
  get(type, [](RollupRow& row, Cell cell) { row.summary.first = cell; });
  get(type, [](RollupRow& row, Cell cell) { row.summary.last = cell; });
  get(type, [](RollupRow& row, Cell cell) { row.summary.min = cell; });
  get(type, [](RollupRow& row, Cell cell) { row.summary.max = cell; });
  get(ValueType::float64, [](RollupRow& row, Cell cell) { row.summary.sum.high = as_float64(cell); });
  get(ValueType::float64, [](RollupRow& row, Cell cell) { row.summary.sum.low = as_float64(cell); });
  if (!good || !in.done()) return damaged("rollup block");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RollupRow& row = rows[i];
    const bool ascends = i == 0 || rows[i - 1].start < row.start;
    if (!ascends || row.summary.count == 0 || row.summary.first_time < row.start ||
        row.summary.last_time < row.summary.first_time ||
        static_cast<std::uint64_t>(row.summary.last_time) - static_cast<std::uint64_t>(row.start) >=
            static_cast<std::uint64_t>(width))
      return damaged("rollup block");
  }
  return rows;
}

}  // namespace flux::store::engine
