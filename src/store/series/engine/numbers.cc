#include "store/series/engine/numbers.h"

#include <vector>

#include "store/series/engine/entropy.h"

namespace flux::store::engine {
namespace {

constexpr std::uint8_t kEntropy = kFirstEntropyByte;
constexpr std::uint8_t kEntropyByLast = 0x81;
constexpr std::size_t kClasses = 4;

constexpr std::size_t class_of(std::uint64_t number) {
  if (number == 0) return 0;
  if (number <= 2) return 1;
  return number <= 8 ? 2 : 3;
}

EntropyPlan plan_entropy(std::span<const std::uint64_t> numbers) {
  EntropyPlan plan(1);
  for (const std::uint64_t number : numbers) plan.count(0, number);
  return plan;
}

EntropyPlan plan_by_last(std::span<const std::uint64_t> numbers) {
  EntropyPlan plan(kClasses);
  std::size_t context = 0;
  for (const std::uint64_t number : numbers) {
    plan.count(context, number);
    context = class_of(number);
  }
  return plan;
}

}  // namespace

NumbersPlan plan_numbers(std::span<const std::uint64_t> numbers) {
  NumbersPlan plan;
  plan.pack = plan_pack(numbers);
  plan.bytes = plan.pack.bytes;
  consider_entropy(numbers, plan);
  return plan;
}

void consider_entropy(std::span<const std::uint64_t> numbers, NumbersPlan& plan) {
  if (numbers.size() < kLeastForEntropy || plan.pack.bytes < kLeastForEntropy) return;
  const std::size_t bytes = plan_entropy(numbers).bytes() + 3;
  if (!is_worth_entropy(bytes, plan.bytes)) return;
  plan.coding = NumberCoding::entropy;
  plan.bytes = bytes;
}

void refine(std::span<const std::uint64_t> numbers, NumbersPlan& plan) {
  if (plan.bytes < kLeastForEntropy) return;
  const std::size_t bytes = plan_by_last(numbers).bytes() + 3;
  const bool pays = plan.coding == NumberCoding::packed ? is_worth_entropy(bytes, plan.bytes) : bytes < plan.bytes;
  if (!pays) return;
  plan.coding = NumberCoding::entropy_by_last;
  plan.bytes = bytes;
}

void write_numbers(std::span<const std::uint64_t> numbers, const NumbersPlan& plan, std::string& out) {
  if (plan.coding == NumberCoding::packed) {
    pack(numbers, plan.pack, out);
    return;
  }
  std::string coded;
  if (plan.coding == NumberCoding::entropy) {
    out.push_back(static_cast<char>(kEntropy));
    encode_entropy(numbers, {}, plan_entropy(numbers), coded);
  } else {
    out.push_back(static_cast<char>(kEntropyByLast));
    std::vector<std::uint8_t> contexts(numbers.size());
    for (std::size_t i = 1; i < numbers.size(); ++i) contexts[i] = static_cast<std::uint8_t>(class_of(numbers[i - 1]));
    encode_entropy(numbers, contexts, plan_by_last(numbers), coded);
  }
  put_text(out, coded);
}

bool read_numbers(ByteReader& in, std::size_t count, std::uint64_t* out) {
  ByteReader ahead = in;
  const auto coding = ahead.fixed<std::uint8_t>();
  if (coding < kEntropy) return unpack(in, count, out);
  in = ahead;
  ByteReader coded(in.text());
  if (!in.ok() || coding > kEntropyByLast) return false;
  thread_local EntropyReader reader;
  if (!reader.start(coded, coding == kEntropy ? 1 : kClasses)) return false;
  if (coding == kEntropy) {
    for (std::size_t i = 0; i < count; ++i) out[i] = reader.next(0);
  } else {
    std::size_t context = 0;
    for (std::size_t i = 0; i < count; ++i) context = class_of(out[i] = reader.next(context));
  }
  return reader.finish();
}

}  // namespace flux::store::engine
