#include "wire/mqtt/topic.h"

#include <cstdint>
#include <cstring>

namespace flux::wire::mqtt {
namespace {

constexpr std::size_t kMaxBytes = 65'535;

/// Bytes of the sequence at `at` that is not ASCII; 0 when it is none.
std::size_t wide_length(const unsigned char* at, const unsigned char* end) {
  const unsigned first = at[0];
  const auto trails = [&](std::ptrdiff_t i) { return end - at > i && (at[i] & 0xC0U) == 0x80U; };
  if (first < 0xC2 || first > 0xF4) return 0;
  if (!trails(1)) return 0;
  const unsigned second = at[1];
  if (first < 0xE0) return 2;
  if (!trails(2)) return 0;
  if (first < 0xF0) {
    if (first == 0xE0 && second < 0xA0) return 0;
    if (first == 0xED && second >= 0xA0) return 0;
    return 3;
  }
  if (!trails(3) || (first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90)) return 0;
  return 4;
}

}  // namespace

bool is_utf8_string(std::string_view text) {
  if (text.size() > kMaxBytes) return false;
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  while (at < end) {
    if (end - at >= 8) {  // eight at a time while all are ASCII and none is 0
      std::uint64_t word = 0;
      std::memcpy(&word, at, sizeof word);
      constexpr std::uint64_t kHigh = 0x8080808080808080ULL;
      if (((word | ((word - 0x0101010101010101ULL) & ~word)) & kHigh) == 0) {
        at += 8;
        continue;
      }
    }
    if (*at == 0) return false;
    if (*at < 0x80) {
      ++at;
      continue;
    }
    const std::size_t length = wide_length(at, end);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

bool is_topic_name(std::string_view topic) {
  return !topic.empty() && topic.size() <= kMaxBytes && topic.find_first_of("+#") == std::string_view::npos;
}

namespace {

bool is_plain_filter(std::string_view filter) {
  if (filter.empty() || filter.size() > kMaxBytes) return false;
  for (std::size_t i = 0; i < filter.size(); ++i) {
    if (filter[i] != '+' && filter[i] != '#') continue;
    if (i > 0 && filter[i - 1] != '/') return false;
    if (filter[i] == '#' && i + 1 != filter.size()) return false;
    if (i + 1 < filter.size() && filter[i + 1] != '/') return false;
  }
  return true;
}

constexpr std::string_view kShare = "$share/";

}  // namespace

std::optional<SharedFilter> shared_filter(std::string_view filter) {
  if (!filter.starts_with(kShare)) return std::nullopt;
  const std::string_view rest = filter.substr(kShare.size());
  const std::size_t slash = rest.find('/');
  if (slash == 0 || slash == std::string_view::npos) return std::nullopt;
  const SharedFilter parts{rest.substr(0, slash), rest.substr(slash + 1)};
  if (parts.group.find_first_of("+#") != std::string_view::npos || !is_plain_filter(parts.filter)) return std::nullopt;
  return parts;
}

bool is_topic_filter(std::string_view filter) {
  if (filter == "$share" || filter.starts_with(kShare)) return shared_filter(filter).has_value();
  return is_plain_filter(filter);
}

bool matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && !filter.starts_with('$')) {
    if (filter.starts_with('+') || filter.starts_with('#')) return false;
  }
  for (;;) {
    if (filter == "#") return true;
    const std::size_t filter_end = std::min(filter.find('/'), filter.size());
    const std::size_t topic_end = std::min(topic.find('/'), topic.size());
    const std::string_view level = filter.substr(0, filter_end);
    if (level != "+" && level != topic.substr(0, topic_end)) return false;
    const bool filter_last = filter_end == filter.size();
    const bool topic_last = topic_end == topic.size();
    if (topic_last) return filter_last || filter.substr(filter_end + 1) == "#";
    if (filter_last) return false;
    filter.remove_prefix(filter_end + 1);
    topic.remove_prefix(topic_end + 1);
  }
}

}  // namespace flux::wire::mqtt
