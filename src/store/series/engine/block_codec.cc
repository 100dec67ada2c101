#include "store/series/engine/block_codec.h"

#include <zstd.h>

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <vector>

#include "core/hash.h"
#include "core/result.h"
#include "store/series/engine/bytes.h"
#include "store/series/engine/float_codec.h"
#include "store/series/engine/int_codec.h"

namespace flux::store::engine {
namespace {

enum Family : std::uint8_t { kInts = 1, kFloats = 2, kStrings = 3, kStringDictionary = 4 };

// A claim of more text than this in one block is damage: ingest takes no string of that size.
constexpr std::size_t kGreatestText = 1ULL << 30;

std::span<const std::uint64_t> as_words(std::span<const std::int64_t> times) {
  return {reinterpret_cast<const std::uint64_t*>(times.data()), times.size()};
}

// Text: raw length varint · stored length varint · bytes, zstd when shorter than raw.
void put_block_text(const std::string& raw, std::string& out) {
  std::string packed;
  if (raw.size() >= 64) {
    packed.resize(ZSTD_compressBound(raw.size()));
    const std::size_t size = ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), 3);
    packed.resize(ZSTD_isError(size) != 0U ? 0 : size);
  }
  const bool pays = !packed.empty() && packed.size() < raw.size();
  put_varint(out, raw.size());
  put_text(out, pays ? packed : raw);
}

bool get_block_text(ByteReader& in, std::string& raw) {
  const std::uint64_t size = in.varint();
  const std::string_view stored = in.text();
  if (!in.ok() || size > kGreatestText || stored.size() > size) return false;
  if (stored.size() == size) {
    raw.assign(stored);
    return true;
  }
  if (ZSTD_getFrameContentSize(stored.data(), stored.size()) != size) return false;
  raw.resize(size);
  return ZSTD_decompress(raw.data(), size, stored.data(), stored.size()) == size;
}

void put_strings(std::span<const std::string_view> strings, std::string& out) {
  std::vector<std::uint64_t> lengths;
  std::string raw;
  for (const std::string_view text : strings) {
    lengths.push_back(text.size());
    raw.append(text);
  }
  encode_ints(lengths, out);
  put_block_text(raw, out);
}

bool get_strings(ByteReader& in, std::size_t count, TextArena& arena, Cell* out) {
  std::vector<std::uint64_t> lengths(count);
  std::string raw;
  if (!decode_ints(in, count, lengths.data()) || !get_block_text(in, raw)) return false;
  std::string_view left = raw;
  for (std::size_t i = 0; i < count; ++i) {
    if (lengths[i] > left.size()) return false;
    out[i] = arena.add(left.substr(0, lengths[i]));
    left.remove_prefix(lengths[i]);
  }
  return left.empty();
}

void encode_strings(std::span<const Cell> cells, std::string& out) {
  boost::unordered_flat_map<std::string_view, std::uint64_t, StringHash> seen;
  std::vector<std::string_view> distinct;
  std::vector<std::uint64_t> indices;
  indices.reserve(cells.size());
  for (const Cell cell : cells) {
    const auto [at, added] = seen.try_emplace(text_of(cell), distinct.size());
    if (added) distinct.push_back(at->first);
    indices.push_back(at->second);
  }
  if (distinct.size() <= cells.size() / 2) {
    out.push_back(static_cast<char>(kStringDictionary));
    put_varint(out, distinct.size());
    put_strings(distinct, out);
    encode_ints(indices, out);
    return;
  }
  std::vector<std::string_view> all;
  for (const Cell cell : cells) all.push_back(text_of(cell));
  out.push_back(static_cast<char>(kStrings));
  put_strings(all, out);
}

bool decode_string_dictionary(ByteReader& in, std::size_t count, Cell* out, TextArena& arena) {
  const std::uint64_t size = in.varint();
  if (!in.ok() || size == 0 || size > count) return false;
  std::vector<Cell> distinct(size);
  if (!get_strings(in, size, arena, distinct.data()) || !decode_ints(in, count, out)) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (out[i] >= size) return false;
    out[i] = distinct[out[i]];
  }
  return true;
}

}  // namespace

void encode_times(std::span<const std::int64_t> times, std::string& out) {
  out.push_back(static_cast<char>(kInts));
  encode_ints(as_words(times), out);
}

bool decode_times(std::string_view in, std::size_t count, std::int64_t* out) {
  ByteReader reader(in);
  if (reader.fixed<std::uint8_t>() != kInts) return false;
  if (!decode_ints(reader, count, reinterpret_cast<std::uint64_t*>(out)) || !reader.done()) return false;
  bool ascends = true;
  for (std::size_t i = 1; i < count; ++i) ascends &= out[i - 1] < out[i];
  return ascends;
}

void encode_values(ValueType type, std::span<const Cell> cells, std::string& out) {
  if (type == ValueType::string) {
    encode_strings(cells, out);
  } else if (type == ValueType::float64) {
    out.push_back(static_cast<char>(kFloats));
    encode_floats(cells, out);
  } else {
    out.push_back(static_cast<char>(kInts));
    encode_ints(cells, out);
  }
}

bool decode_values(std::string_view in, ValueType type, std::size_t count, Cell* out, TextArena& arena) {
  ByteReader reader(in);
  bool good = false;
  switch (reader.fixed<std::uint8_t>()) {
    case kInts: {
      good = (type == ValueType::int64 || type == ValueType::uint64 || type == ValueType::boolean) &&
             decode_ints(reader, count, out);
      if (good && type == ValueType::boolean) good = std::all_of(out, out + count, [](Cell cell) { return cell <= 1; });
      break;
    }
    case kFloats: good = type == ValueType::float64 && decode_floats(reader, count, out); break;
    case kStrings: good = type == ValueType::string && get_strings(reader, count, arena, out); break;
    case kStringDictionary:
      good = type == ValueType::string && decode_string_dictionary(reader, count, out, arena);
      break;
    default: break;
  }
  // The bit stream of xor swallows what is left; every other coding must have used all bytes.
  return good && reader.done();
}

std::string describe_block(std::string_view in) {
  ByteReader reader(in);
  switch (reader.fixed<std::uint8_t>()) {
    case kInts: return describe_ints(reader);
    case kFloats: return describe_floats(reader);
    case kStrings: return "strings";
    case kStringDictionary: return "string dictionary";
    default: return "damaged";
  }
}

}  // namespace flux::store::engine
