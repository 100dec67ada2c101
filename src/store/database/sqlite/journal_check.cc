#include "store/database/sqlite/journal_check.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace flux::store::sqlite {

namespace {

// https://www.sqlite.org/walformat.html and fileformat2.html, section 4.
constexpr std::size_t kHeader = 32;
constexpr std::size_t kFrameHeader = 24;
constexpr std::uint32_t kMagic = 0x377F0682;  // the last bit: sums are of big-endian words
constexpr std::size_t kIndexHeader = 48;

using Bytes = std::span<const unsigned char>;

std::uint32_t big_endian(Bytes bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 | std::uint32_t{bytes[at + 2]} << 8 |
         std::uint32_t{bytes[at + 3]};
}

std::uint32_t native(Bytes bytes, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// SQLite's running sum over pairs of words.
struct Sum {
  std::uint32_t a = 0;
  std::uint32_t b = 0;

  void add(Bytes bytes, bool as_big_endian) {
    const bool swap = as_big_endian != (std::endian::native == std::endian::big);
    const auto word = [&](std::size_t at) {
      const std::uint32_t value = native(bytes, at);
      return swap ? __builtin_bswap32(value) : value;
    };
    for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      a += word(at) + b;
      b += word(at + 4) + a;
    }
  }
  friend bool operator==(const Sum&, const Sum&) = default;
};

/// How many frames the index says are committed and synced, in the journal with these salts; nothing when it says
/// nothing that can be relied upon.
std::optional<std::uint32_t> indexed_frames(const std::filesystem::path& path, Bytes salts) {
  std::ifstream file(path, std::ios::binary);
  std::array<unsigned char, 2 * kIndexHeader> bytes{};
  if (!file.read(reinterpret_cast<char*>(bytes.data()), bytes.size())) return std::nullopt;
  const Bytes first = Bytes(bytes).first(kIndexHeader);
  if (std::memcmp(first.data(), bytes.data() + kIndexHeader, kIndexHeader) != 0) return std::nullopt;
  Sum sum;
  sum.add(first.first(40), std::endian::native == std::endian::big);
  if (sum != Sum{native(first, 40), native(first, 44)}) return std::nullopt;
  if (std::memcmp(first.data() + 32, salts.data(), 8) != 0) return std::nullopt;
  return native(first, 16);
}

std::unexpected<Error> damaged(const std::string& journal, std::string_view how) {
  return fail(ErrorCode::corrupt,
              "database: the journal " + journal + " is damaged: " + std::string(how) +
                  ", so the newest changes (users, devices, keys) would be lost without a word. Restore it and the "
                  "database from a backup, or move " +
                  journal + " and its -shm file away to go on without those changes");
}

}  // namespace

Result<> check_journal(const std::filesystem::path& database) {
  const std::string path = database.string() + "-wal";
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(path, error);
  // A header alone, whole or not, is of a journal that nothing was written to.
  if (error || size <= kHeader) return {};
  std::ifstream file(path, std::ios::binary);
  std::array<unsigned char, kHeader> header{};
  if (!file.read(reinterpret_cast<char*>(header.data()), header.size()))
    return fail(ErrorCode::io, "database: cannot read the journal " + path);
  const bool big = (big_endian(header, 0) & 1) != 0;
  Sum sum;
  sum.add(Bytes(header).first(24), big);
  const std::uint32_t page = big_endian(header, 8);
  if ((big_endian(header, 0) & ~1U) != kMagic || sum != Sum{big_endian(header, 24), big_endian(header, 28)} ||
      page < 512 || page > 65'536 || !std::has_single_bit(page))
    return damaged(path, "its header does not verify");
  const Bytes salts = Bytes(header).subspan(16, 8);

  std::vector<unsigned char> frame(kFrameHeader + page);
  std::uint64_t committed = 0;  // frames up to the last commit of those that verify
  std::uint64_t broken = 0;     // the first frame of this journal that does not verify; counted from 1
  bool commit_after = false;    // a commit follows it
  for (std::uint64_t number = 1; file.read(reinterpret_cast<char*>(frame.data()), std::ssize(frame)); ++number) {
    const Bytes head = Bytes(frame).first(kFrameHeader);
    const bool of_this_journal = std::memcmp(head.data() + 8, salts.data(), salts.size()) == 0;
    const bool commit = big_endian(head, 4) != 0;
    if (broken == 0) {
      sum.add(head.first(8), big);
      sum.add(Bytes(frame).subspan(kFrameHeader), big);
      if (of_this_journal && sum == Sum{big_endian(head, 16), big_endian(head, 20)}) {
        if (commit) committed = number;
        continue;
      }
      broken = number;
    } else if (commit_after && of_this_journal) {
      // What follows a commit was begun after that was durable: no crash leaves a hole before it.
      return damaged(path, "frame " + std::to_string(broken) + " does not verify, and commits follow it");
    }
    if (of_this_journal && commit) commit_after = true;
  }
  const std::uint64_t known = indexed_frames(database.string() + "-shm", salts).value_or(0);
  if (known > committed)
    return damaged(
        path, "it held " + std::to_string(known) + " frames, and " + std::to_string(committed) + " of them verify");
  return {};
}

}  // namespace flux::store::sqlite
