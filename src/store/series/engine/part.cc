#include "store/series/engine/part.h"

#include <algorithm>

#include "core/hash.h"
#include "observe/log.h"
#include "store/series/engine/block_codec.h"

namespace flux::store::engine {
namespace {

constexpr std::uint64_t kGreatestDirectory = 1ULL << 30;

std::string& thread_buffer() {
  thread_local std::string buffer;
  return buffer;
}

std::unexpected<Error> in_file(const std::filesystem::path& path, Error error) {
  error.message = path.string() + ": " + error.message;
  return std::unexpected(std::move(error));
}

}  // namespace

Part::Part(FileSystem& files, std::filesystem::path path, std::unique_ptr<InputFile> file, PartFooter footer,
           std::vector<PageRef> pages, std::shared_ptr<PageCache> cache)
    : files_(files),
      path_(std::move(path)),
      file_(std::move(file)),
      meta_(footer.meta),
      pages_(std::move(pages)),
      cache_(std::move(cache)) {}

Part::~Part() {
  if (!remove_.load(std::memory_order_relaxed)) return;
  file_.reset();
  // A file that stays is an orphan, which the next start removes.
  if (const auto removed = files_.remove(path_); !removed)
    log::warn("a merged part could not be removed", {{"file", path_.string()}, {"error", removed.error()}});
}

Result<std::shared_ptr<const Part>> Part::open(FileSystem& files, std::filesystem::path path, const PartMeta& expected,
                                               std::shared_ptr<PageCache> cache) {
  TRY(auto file, files.open(path));
  const auto damaged = [&](std::string what) {
    return fail(ErrorCode::corrupt, path.string() + ": " + std::move(what));
  };
  const std::uint64_t size = file->size();
  if (size < kPartHeaderBytes + kPartFooterBytes) return damaged("too short for a part");
  if (size != expected.bytes)
    return damaged("has " + std::to_string(size) + " bytes instead of " + std::to_string(expected.bytes));
  std::string bytes(kPartHeaderBytes, '\0');
  DO(file->read(0, bytes.size(), bytes.data()));
  if (auto good = check_header(bytes); !good) return in_file(path, good.error());
  bytes.resize(kPartFooterBytes);
  DO(file->read(size - kPartFooterBytes, bytes.size(), bytes.data()));
  auto footer = decode_footer(bytes);
  if (!footer) return in_file(path, footer.error());
  footer->meta.erased_to = expected.erased_to;  // may have moved on without rewriting the file
  if (footer->meta != expected) return damaged("is not the part that the manifest names");
  const BlockRef& directory = footer->directory;
  if (directory.size > kGreatestDirectory || directory.offset + directory.size > size) return damaged("damaged footer");
  bytes.resize(directory.size);
  DO(file->read(directory.offset, bytes.size(), bytes.data()));
  if (crc32c(std::as_bytes(std::span(bytes))) != directory.crc) return damaged("damaged directory");
  auto pages = decode_directory(bytes, footer->pages);
  if (!pages) return in_file(path, pages.error());
  for (const PageRef& page : *pages)
    if (page.ref.offset + page.ref.size > size) return damaged("damaged directory");
  return std::shared_ptr<const Part>(
      new Part(files, std::move(path), std::move(file), *footer, *std::move(pages), std::move(cache)));
}

std::unexpected<Error> Part::damaged(const BlockRef& ref, std::string_view what) const {
  return fail(ErrorCode::corrupt, path_.string() + ": damaged " + std::string(what) + " at byte " +
                                      std::to_string(ref.offset) + " (" + std::to_string(ref.size) + " bytes)");
}

Result<std::string_view> Part::read(const BlockRef& ref, std::string& buffer) const {
  if (ref.offset + ref.size > meta_.bytes || ref.offset + ref.size < ref.offset) return damaged(ref, "reference");
  if (buffer.size() < ref.size) buffer.resize(ref.size);
  DO(file_->read(ref.offset, ref.size, buffer.data()));
  const std::string_view bytes(buffer.data(), ref.size);
  if (crc32c(std::as_bytes(std::span(bytes))) != ref.crc) return damaged(ref, "block");
  return bytes;
}

Result<IndexPagePtr> Part::page(std::size_t index, bool remember) const {
  if (auto known = cache_->find(meta_.id, index)) return known;
  TRY(auto page, fresh_page(index));
  if (remember) cache_->add(meta_.id, index, page);
  return page;
}

Result<IndexPagePtr> Part::fresh_page(std::size_t index) const {
  const BlockRef& ref = pages_[index].ref;
  TRY(const std::string_view bytes, read(ref, thread_buffer()));
  auto page = decode_page(std::string(bytes));
  if (!page) return damaged(ref, "index page");
  return page;
}

Result<std::string_view> Part::block(const BlockRef& ref) const { return read(ref, thread_buffer()); }

Result<Part::Found> Part::find(const Fingerprint& stem) const {
  const auto after = std::ranges::upper_bound(pages_, stem, {}, &PageRef::first_stem);
  if (after == pages_.begin()) return Found{};
  Found found;
  TRY(found.page, page(static_cast<std::size_t>(after - pages_.begin() - 1), true));
  const auto fingerprint = [](const StemEntry& entry) { return entry.stem.fingerprint; };
  const auto at = std::ranges::lower_bound(found.page->stems, stem, {}, fingerprint);
  if (at != found.page->stems.end() && fingerprint(*at) == stem) found.stem = &*at;
  return found;
}

Result<> Part::read_times(const TimeBlock& block, std::vector<std::int64_t>& out) const {
  TRY(const std::string_view bytes, read(block.ref, thread_buffer()));
  out.resize(block.count);
  if (!decode_times(bytes, block.count, out.data()) || out.front() != block.first || out.back() != block.last)
    return damaged(block.ref, "times");
  return {};
}

Result<> Part::read_values(const ValueBlock& block, ValueType type, std::vector<Cell>& out, TextArena& arena) const {
  TRY(const std::string_view bytes, read(block.ref, thread_buffer()));
  out.resize(block.summary.count);
  if (!decode_values(bytes, type, out.size(), out.data(), arena)) return damaged(block.ref, "values");
  return {};
}

Result<std::vector<RollupRow>> Part::read_rollups(const RollupBlock& block, ValueType type) const {
  TRY(const std::string_view bytes, read(block.ref, thread_buffer()));
  auto rows = decode_rollups(type, block, bytes);
  if (!rows || rows->front().start != block.first_start || rows->back().start != block.last_start)
    return damaged(block.ref, "rollup");
  return rows;
}

}  // namespace flux::store::engine
