#include "store/series/engine/int_codec.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "store/series/engine/entropy.h"
#include "store/series/engine/numbers.h"

namespace flux::store::engine {
namespace {

enum Id : std::uint8_t { kConstant = 1, kOffset, kDelta, kZigzag, kDelta2, kRuns, kDictionary, kWalk };

using Words = std::vector<std::uint64_t>;

constexpr std::size_t kMaxDictionary = 64;

// The candidates of one list share these, so that a block costs no allocation.
struct Scratch {
  Words deltas;
  Words trial;
  std::array<Words, 4> numbers;  // of each candidate
};

std::int64_t as_signed(std::uint64_t value) { return static_cast<std::int64_t>(value); }

std::uint64_t greatest_divisor(const Words& values) {
  std::uint64_t divisor = 0;
  for (const std::uint64_t value : values) {
    if (divisor != 0 && value % divisor == 0) continue;
    divisor = std::gcd(divisor, value);
    if (divisor == 1) return 1;
  }
  return divisor == 0 ? 1 : divisor;
}

std::uint64_t greatest_magnitude_divisor(const Words& values) {
  std::uint64_t divisor = 0;
  for (const std::uint64_t value : values) {
    const std::uint64_t magnitude = as_signed(value) < 0 ? 0 - value : value;
    if (divisor != 0 && magnitude % divisor == 0) continue;
    divisor = std::gcd(divisor, magnitude);
    if (divisor == 1) return 1;
  }
  // A divisor above INT64_MAX (only 2^63) could not be undone by a signed division.
  return divisor == 0 || divisor > INT64_MAX ? 1 : divisor;
}

void divide(Words& values, std::uint64_t scale) {
  if (scale == 1) return;
  for (std::uint64_t& value : values) value /= scale;
}

void divide_and_zigzag(Words& values, std::uint64_t scale) {
  if (scale == 1) {
    for (std::uint64_t& value : values) value = zigzag(as_signed(value));
  } else {
    const auto by = static_cast<std::int64_t>(scale);
    for (std::uint64_t& value : values) value = zigzag(as_signed(value) / by);
  }
}

// What a value of a walk is to the next step.
constexpr std::size_t kWalls = 3;
constexpr std::uint8_t wall_of(std::uint64_t value, std::uint64_t min, std::uint64_t max) {
  if (value == min) return 1;
  return value == max ? 2 : 0;
}

struct Choice {
  Id id = kOffset;
  std::uint64_t base = 0;
  std::uint64_t scale = 1;
  NumbersPlan plan;
};

// Distinct values, ascending, as long as there are few of them.
bool find_dictionary(std::span<const std::uint64_t> values, Words& entries) {
  std::array<std::uint64_t, 256> table{};
  std::array<bool, 256> taken{};
  entries.clear();
  for (const std::uint64_t value : values) {
    std::size_t slot = (value * 0x9E3779B97F4A7C15ULL) >> 56;
    while (taken[slot] && table[slot] != value) slot = (slot + 1) & 255;
    if (taken[slot]) continue;
    if (entries.size() == kMaxDictionary) return false;
    taken[slot] = true;
    table[slot] = value;
    entries.push_back(value);
  }
  std::ranges::sort(entries, {}, as_signed);
  return true;
}

class Encoder {
 public:
  Encoder(std::span<const std::uint64_t> values, std::string& out, Scratch& scratch)
      : values_(values), out_(out), scratch_(scratch) {}

  void encode(bool nested) {
    std::uint64_t min = values_[0];
    std::size_t runs = 1;
    for (std::size_t i = 1; i < values_.size(); ++i) {
      if (as_signed(values_[i]) < as_signed(min)) min = values_[i];
      runs += values_[i] != values_[i - 1] ? 1 : 0;
    }
    if (runs == 1) {
      out_.push_back(static_cast<char>(kConstant));
      put_signed(out_, as_signed(min));
      return;
    }
    try_offset(min);
    try_deltas();
    choose();
    const std::size_t start = out_.size();
    write_best();
    if (nested) return;
    std::string other;
    if (runs <= values_.size() / 4) {
      write_runs(runs, other);
      keep_shorter(start, other);
    }
    if (best_bytes() * 4 > values_.size()) {  // two bits a value
      Words entries;
      if (find_dictionary(values_, entries) &&
          values_.size() * static_cast<unsigned>(std::bit_width(entries.size() - 1)) < best_bytes() * 12) {
        write_dictionary(entries, other);
        keep_shorter(start, other);
      }
    }
    write_walk(min, other);
    keep_shorter(start, other);
  }

 private:
  void keep_shorter(std::size_t start, std::string& other) {
    if (!other.empty() && other.size() < out_.size() - start) {
      out_.resize(start);
      out_ += other;
    }
    other.clear();
  }

  // What the next candidate's numbers go into.
  Words& next() { return scratch_.numbers[candidates_]; }

  void consider(Id id, std::uint64_t base, std::uint64_t scale) {
    NumbersPlan plan;
    plan.pack = plan_pack(next());
    plan.bytes = plan.pack.bytes;
    choices_[candidates_++] = {id, base, scale, plan};
  }

  // Packed sizes are had cheaply; entropy coding is measured for those that may win by it.
  void choose() {
    std::size_t least = SIZE_MAX;
    for (std::size_t i = 0; i < candidates_; ++i) least = std::min(least, choices_[i].plan.bytes);
    best_ = 0;
    for (std::size_t i = 0; i < candidates_; ++i) {
      Choice& choice = choices_[i];
      // Steps that are tokens as they are have the same frequencies with and without their signs in front.
      const bool same = choice.id == kZigzag && choices_[i - 1].scale == choice.scale &&
                        choices_[i - 1].plan.coding != NumberCoding::packed &&
                        std::ranges::all_of(scratch_.numbers[i - 1], [](std::uint64_t step) { return step < 32; });
      if (!same && choice.plan.bytes * 2 <= least * 3) consider_entropy(scratch_.numbers[i], choice.plan);
      if (choice.plan.bytes < choices_[best_].plan.bytes) best_ = i;
    }
  }

  [[nodiscard]] std::size_t best_bytes() const { return choices_[best_].plan.bytes; }

  void try_offset(std::uint64_t min) {
    Words& numbers = next();
    numbers.resize(values_.size());
    for (std::size_t i = 0; i < values_.size(); ++i) numbers[i] = values_[i] - min;
    const std::uint64_t scale = greatest_divisor(numbers);
    divide(numbers, scale);
    consider(kOffset, min, scale);
  }

  void try_deltas() {
    Words& deltas = scratch_.deltas;
    deltas.resize(values_.size() - 1);
    for (std::size_t i = 1; i < values_.size(); ++i) deltas[i - 1] = values_[i] - values_[i - 1];
    std::uint64_t min = deltas[0];
    for (const std::uint64_t delta : deltas)
      if (as_signed(delta) < as_signed(min)) min = delta;

    Words& offsets = next();
    offsets.resize(deltas.size());
    for (std::size_t i = 0; i < deltas.size(); ++i) offsets[i] = deltas[i] - min;
    std::uint64_t scale = greatest_divisor(offsets);
    divide(offsets, scale);
    consider(kDelta, min, scale);

    Words& steps = next();
    steps = deltas;
    scale = greatest_magnitude_divisor(steps);
    divide_and_zigzag(steps, scale);
    consider(kZigzag, 0, scale);

    if (deltas.size() < 2) return;
    Words& changes = next();
    changes.resize(deltas.size() - 1);
    for (std::size_t i = 1; i < deltas.size(); ++i) changes[i - 1] = deltas[i] - deltas[i - 1];
    scale = greatest_magnitude_divisor(changes);
    divide_and_zigzag(changes, scale);
    consider(kDelta2, deltas[0], scale);
  }

  void write_best() {
    Choice& best = choices_[best_];
    out_.push_back(static_cast<char>(best.id));
    if (best.id != kOffset) put_signed(out_, as_signed(values_[0]));
    if (best.id != kZigzag) put_signed(out_, as_signed(best.base));
    put_varint(out_, best.scale);
    refine(scratch_.numbers[best_], best.plan);
    write_numbers(scratch_.numbers[best_], best.plan, out_);
  }

  void write_runs(std::size_t runs, std::string& out) {
    Words starts;
    Words lengths;
    starts.reserve(runs);
    lengths.reserve(runs);
    for (std::size_t i = 0; i < values_.size();) {
      std::size_t end = i + 1;
      while (end < values_.size() && values_[end] == values_[i]) ++end;
      starts.push_back(values_[i]);
      lengths.push_back(end - i - 1);
      i = end;
    }
    out.push_back(static_cast<char>(kRuns));
    put_varint(out, runs);
    Encoder(starts, out, scratch_).encode(true);
    Encoder(lengths, out, scratch_).encode(true);
  }

  void write_dictionary(const Words& entries, std::string& out) {
    out.push_back(static_cast<char>(kDictionary));
    put_varint(out, entries.size());
    Encoder(entries, out, scratch_).encode(true);
    Words& indices = scratch_.trial;
    indices.resize(values_.size());
    for (std::size_t i = 0; i < values_.size(); ++i)
      indices[i] = static_cast<std::uint64_t>(std::ranges::lower_bound(entries, as_signed(values_[i]), {}, as_signed) -
                                              entries.begin());
    NumbersPlan plan = plan_numbers(indices);
    refine(indices, plan);
    write_numbers(indices, plan, out);
  }

  // Where a walk stops at a wall, the next step goes one way only.
  void write_walk(std::uint64_t min, std::string& out) {
    std::uint64_t max = min;
    std::size_t at_wall = 0;
    for (const std::uint64_t value : values_)
      if (as_signed(value) > as_signed(max)) max = value;
    for (const std::uint64_t value : values_) at_wall += value == min || value == max ? 1 : 0;
    if (at_wall < kLeastForEntropy) return;
    Words& steps = scratch_.trial;
    steps.resize(values_.size() - 1);
    for (std::size_t i = 1; i < values_.size(); ++i) steps[i - 1] = values_[i] - values_[i - 1];
    const std::uint64_t scale = greatest_magnitude_divisor(steps);
    divide_and_zigzag(steps, scale);
    EntropyPlan plan(kWalls);
    std::vector<std::uint8_t> contexts(steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      contexts[i] = wall_of(values_[i], min, max);
      plan.count(contexts[i], steps[i]);
    }
    if (const std::size_t bytes = plan.bytes() + 16; bytes >= best_bytes()) return;
    out.push_back(static_cast<char>(kWalk));
    put_signed(out, as_signed(values_[0]));
    put_signed(out, as_signed(min));
    put_signed(out, as_signed(max));
    put_varint(out, scale);
    std::string coded;
    encode_entropy(steps, contexts, plan, coded);
    put_text(out, coded);
  }

  std::span<const std::uint64_t> values_;
  std::string& out_;
  Scratch& scratch_;
  std::array<Choice, 4> choices_;
  std::size_t candidates_ = 0;
  std::size_t best_ = 0;
};

bool decode_list(ByteReader& in, std::size_t count, std::uint64_t* out, bool nested);

bool decode_runs(ByteReader& in, std::size_t count, std::uint64_t* out) {
  const std::uint64_t runs = in.varint();
  if (!in.ok() || runs == 0 || runs > count) return false;
  Words values(runs);
  Words lengths(runs);
  if (!decode_list(in, runs, values.data(), true) || !decode_list(in, runs, lengths.data(), true)) return false;
  std::size_t at = 0;
  for (std::size_t run = 0; run < runs; ++run) {
    if (lengths[run] >= count - at) return false;
    const std::size_t length = lengths[run] + 1;
    std::fill_n(out + at, length, values[run]);
    at += length;
    if (at == count) return run + 1 == runs;
  }
  return false;
}

bool decode_dictionary(ByteReader& in, std::size_t count, std::uint64_t* out) {
  const std::uint64_t size = in.varint();
  if (!in.ok() || size == 0 || size > kMaxDictionary) return false;
  Words entries(size);
  if (!decode_list(in, size, entries.data(), true) || !read_numbers(in, count, out)) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (out[i] >= size) return false;
    out[i] = entries[out[i]];
  }
  return true;
}

bool decode_walk(ByteReader& in, std::size_t count, std::uint64_t* out) {
  auto value = static_cast<std::uint64_t>(in.signed_varint());
  const auto min = static_cast<std::uint64_t>(in.signed_varint());
  const auto max = static_cast<std::uint64_t>(in.signed_varint());
  const std::uint64_t scale = in.varint();
  ByteReader coded(in.text());
  thread_local EntropyReader reader;
  if (!in.ok() || !reader.start(coded, kWalls)) return false;
  out[0] = value;
  for (std::size_t i = 1; i < count; ++i)
    out[i] = value += static_cast<std::uint64_t>(unzigzag(reader.next(wall_of(value, min, max)))) * scale;
  return reader.finish();
}

bool decode_list(ByteReader& in, std::size_t count, std::uint64_t* out, bool nested) {
  const auto id = in.fixed<std::uint8_t>();
  if (!in.ok()) return false;
  if (count == 0) return true;
  switch (id) {
    case kConstant: {
      std::fill_n(out, count, static_cast<std::uint64_t>(in.signed_varint()));
      return in.ok();
    }
    case kOffset: {
      const auto base = static_cast<std::uint64_t>(in.signed_varint());
      const std::uint64_t scale = in.varint();
      if (!in.ok() || !read_numbers(in, count, out)) return false;
      for (std::size_t i = 0; i < count; ++i) out[i] = base + out[i] * scale;
      return true;
    }
    case kDelta: {
      std::uint64_t value = static_cast<std::uint64_t>(in.signed_varint());
      const auto base = static_cast<std::uint64_t>(in.signed_varint());
      const std::uint64_t scale = in.varint();
      if (!in.ok() || !read_numbers(in, count - 1, out + 1)) return false;
      out[0] = value;
      for (std::size_t i = 1; i < count; ++i) out[i] = value += base + out[i] * scale;
      return true;
    }
    case kZigzag: {
      std::uint64_t value = static_cast<std::uint64_t>(in.signed_varint());
      const std::uint64_t scale = in.varint();
      if (!in.ok() || !read_numbers(in, count - 1, out + 1)) return false;
      out[0] = value;
      for (std::size_t i = 1; i < count; ++i) out[i] = value += static_cast<std::uint64_t>(unzigzag(out[i])) * scale;
      return true;
    }
    case kDelta2: {
      std::uint64_t value = static_cast<std::uint64_t>(in.signed_varint());
      std::uint64_t delta = static_cast<std::uint64_t>(in.signed_varint());
      const std::uint64_t scale = in.varint();
      if (!in.ok() || count < 2 || !read_numbers(in, count - 2, out + 2)) return false;
      out[0] = value;
      out[1] = value += delta;
      for (std::size_t i = 2; i < count; ++i) {
        delta += static_cast<std::uint64_t>(unzigzag(out[i])) * scale;
        out[i] = value += delta;
      }
      return true;
    }
    case kRuns: return !nested && decode_runs(in, count, out);
    case kDictionary: return !nested && decode_dictionary(in, count, out);
    case kWalk: return decode_walk(in, count, out);
    default: return false;
  }
}

}  // namespace

void encode_ints(std::span<const std::uint64_t> values, std::string& out) {
  if (values.empty()) {
    out.push_back(static_cast<char>(kConstant));
    return;
  }
  thread_local Scratch scratch;
  Encoder(values, out, scratch).encode(false);
}

bool decode_ints(ByteReader& in, std::size_t count, std::uint64_t* out) { return decode_list(in, count, out, false); }

std::string describe_ints(ByteReader& in) {
  std::string name;
  switch (in.fixed<std::uint8_t>()) {
    case kConstant: return "constant";
    case kRuns: return "runs";
    case kDictionary: return "dictionary";
    case kWalk: return "walk, entropy";
    case kOffset: name = "offset"; break;
    case kDelta: name = "delta"; break;
    case kZigzag: name = "zigzag"; break;
    case kDelta2: name = "delta2"; break;
    default: return "damaged";
  }
  (void)in.signed_varint();
  if (name == "delta" || name == "delta2") (void)in.signed_varint();
  (void)in.varint();
  return name + (in.fixed<std::uint8_t>() < kFirstEntropyByte ? ", packed" : ", entropy");
}

}  // namespace flux::store::engine
