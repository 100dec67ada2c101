#include "query/time_zone.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>

namespace flux::query {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDay = 86'400;

/// Big endian, checked reads.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] bool good() const { return good_; }
  std::int64_t number(std::size_t size) {
    const std::string_view taken = take(size);
    std::uint64_t value = 0;
    for (const char byte : taken) value = (value << 8) | static_cast<unsigned char>(byte);
    if (size == 4) return static_cast<std::int32_t>(value);
    return static_cast<std::int64_t>(value);
  }
  std::string_view take(std::size_t size) {
    if (size > bytes_.size()) {
      good_ = false;
      bytes_ = {};
      return {};
    }
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  [[nodiscard]] std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
  bool good_ = true;
};

struct Counts {
  std::int64_t utc, standard, leaps, times, types, chars;
};

bool read_counts(Reader& in, Counts& counts) {
  const std::string_view head = in.take(20);
  if (!in.good() || !head.starts_with("TZif")) return false;
  for (std::int64_t* count :
       {&counts.utc, &counts.standard, &counts.leaps, &counts.times, &counts.types, &counts.chars}) {
    *count = in.number(4);
    if (*count < 0 || *count > 100'000) return false;
  }
  return in.good() && counts.types > 0;
}

bool parse_number(std::string_view& text, int& value) {
  std::size_t used = 0;
  value = 0;
  while (used < text.size() && used < 4 && text[used] >= '0' && text[used] <= '9')
    value = value * 10 + (text[used++] - '0');
  text.remove_prefix(used);
  return used > 0;
}

/// `[+-]h[h][:mm[:ss]]` in seconds.
bool parse_clock(std::string_view& text, std::int64_t& seconds) {
  std::int64_t sign = 1;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    if (text[0] == '-') sign = -1;
    text.remove_prefix(1);
  }
  int part = 0;
  if (!parse_number(text, part)) return false;
  seconds = part * 3600LL;
  for (const int unit : {60, 1}) {
    if (text.empty() || text[0] != ':') break;
    text.remove_prefix(1);
    if (!parse_number(text, part)) return false;
    seconds += static_cast<std::int64_t>(part) * unit;
  }
  seconds *= sign;
  return true;
}

bool skip_name(std::string_view& text) {
  std::size_t end = 0;
  if (!text.empty() && text[0] == '<') {
    end = text.find('>');
    if (end == std::string_view::npos) return false;
    ++end;
  } else {
    while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) ++end;
  }
  text.remove_prefix(end);
  return end > 0;
}

}  // namespace

bool TimeZone::parse_rule(std::string_view& text, Rule& rule) {
  if (text.empty()) return false;
  int number = 0;
  if (text[0] == 'M') {
    text.remove_prefix(1);
    if (!parse_number(text, rule.month) || text.empty() || text[0] != '.') return false;
    text.remove_prefix(1);
    if (!parse_number(text, rule.week) || text.empty() || text[0] != '.') return false;
    text.remove_prefix(1);
    if (!parse_number(text, rule.day)) return false;
    if (rule.month < 1 || rule.month > 12 || rule.week < 1 || rule.week > 5 || rule.day > 6) return false;
  } else {
    rule.kind = text[0] == 'J' ? 'J' : 'n';
    if (rule.kind == 'J') text.remove_prefix(1);
    if (!parse_number(text, number) || number > 366) return false;
    rule.day = number;
  }
  if (!text.empty() && text[0] == '/') {
    text.remove_prefix(1);
    if (!parse_clock(text, rule.second)) return false;
  }
  return true;
}

bool TimeZone::parse_footer(std::string_view text, Footer& footer) {
  std::int64_t west = 0;
  if (!skip_name(text) || !parse_clock(text, west)) return false;
  footer.present = true;
  footer.standard = -west;
  if (text.empty()) return true;
  footer.summer = footer.standard + 3600;
  if (!skip_name(text)) return false;
  if (!text.empty() && text[0] != ',') {
    if (!parse_clock(text, west)) return false;
    footer.summer = -west;
  }
  if (text.empty() || text[0] != ',') return false;
  text.remove_prefix(1);
  if (!parse_rule(text, footer.to_summer) || text.empty() || text[0] != ',') return false;
  text.remove_prefix(1);
  footer.changes = parse_rule(text, footer.to_standard) && text.empty();
  return footer.changes;
}

std::int64_t TimeZone::by_footer(std::int64_t second) const {
  if (!footer_.changes) return footer_.standard;
  using namespace std::chrono;
  const sys_days today{days{second >= 0 ? second / kDay : (second - kDay + 1) / kDay}};
  const year_month_day date{today};
  const auto moment = [&](const Rule& rule, year in, std::int64_t offset_before) {
    sys_days day;
    if (rule.kind == 'M') {
      const year_month month = in / static_cast<unsigned>(rule.month);
      const weekday which{static_cast<unsigned>(rule.day)};
      day = rule.week == 5 ? sys_days{month / which[last]} : sys_days{month / which[static_cast<unsigned>(rule.week)]};
    } else {
      day = sys_days{in / January / 1} + days{rule.kind == 'J' ? rule.day - 1 : rule.day};
      if (rule.kind == 'J' && in.is_leap() && rule.day >= 60) day += days{1};
    }
    return day.time_since_epoch().count() * kDay + rule.second - offset_before;
  };
  // The local year decides which rules hold; near New Year no clocks change.
  const year in = date.year();
  const std::int64_t start = moment(footer_.to_summer, in, footer_.standard);
  const std::int64_t end = moment(footer_.to_standard, in, footer_.summer);
  const bool summer = start < end ? second >= start && second < end : second >= start || second < end;
  return summer ? footer_.summer : footer_.standard;
}

Result<TimeZone> TimeZone::parse(std::string name, std::string_view bytes) {
  const auto broken = [&] { return fail(ErrorCode::corrupt, "no time zone file: " + name); };
  Reader in(bytes);
  Counts counts{};
  if (bytes.size() < 5 || !read_counts(in, counts)) return broken();
  std::size_t width = 4;
  if (bytes[4] >= '2') {
    in.take(static_cast<std::size_t>(counts.times * 5 + counts.types * 6 + counts.chars + counts.leaps * 8 +
                                     counts.standard + counts.utc));
    if (!read_counts(in, counts)) return broken();
    width = 8;
  }
  TimeZone zone;
  zone.name_ = std::move(name);
  for (std::int64_t i = 0; i < counts.times; ++i) zone.changes_.push_back(in.number(width));
  const std::string_view kinds = in.take(static_cast<std::size_t>(counts.times));
  std::vector<std::int64_t> types;
  std::int64_t first_standard = -1;
  for (std::int64_t i = 0; i < counts.types; ++i) {
    types.push_back(in.number(4));
    const std::string_view flags = in.take(2);
    if (first_standard < 0 && !flags.empty() && flags[0] == 0) first_standard = i;
  }
  in.take(static_cast<std::size_t>(counts.chars + counts.leaps * static_cast<std::int64_t>(width + 4) +
                                   counts.standard + counts.utc));
  if (!in.good() || !std::ranges::is_sorted(zone.changes_)) return broken();
  for (const char kind : kinds) {
    const auto index = static_cast<unsigned char>(kind);
    if (index >= types.size()) return broken();
    zone.offsets_.push_back(types[index]);
  }
  zone.before_ = types[first_standard < 0 ? 0 : static_cast<std::size_t>(first_standard)];
  std::string_view footer = in.rest();
  if (width == 8 && footer.size() > 2 && footer.front() == '\n' && footer.back() == '\n') {
    Footer parsed;
    if (parse_footer(footer.substr(1, footer.size() - 2), parsed)) zone.footer_ = parsed;
  }
  return zone;
}

Result<TimeZonePtr> TimeZone::load(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string, TimeZonePtr, std::less<>> known;
  const std::lock_guard lock(mutex);
  if (const auto at = known.find(name); at != known.end()) return at->second;
  const std::string wanted(name.empty() ? "UTC" : name);
  const auto missing = [&] { return fail(ErrorCode::not_found, "unable to find time zone " + wanted); };
  // A name is a path below the database's folder: nothing that leads out of it.
  const bool plain = std::ranges::all_of(wanted, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '_' || c == '-' || c == '+';
  });
  if (!plain || wanted.front() == '/' || wanted.size() > 64) return missing();
  const std::string path = "/usr/share/zoneinfo/" + wanted;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return missing();
  std::ifstream file(path, std::ios::binary);
  if (!file) return missing();
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  auto zone = parse(wanted, bytes);
  if (!zone) return missing();
  auto shared = std::make_shared<const TimeZone>(*std::move(zone));
  known.emplace(wanted, shared);
  return shared;
}

std::int64_t TimeZone::offset_at(std::int64_t ns) const {
  std::int64_t second = ns / kSecond;
  if (ns % kSecond < 0) --second;
  const auto after = std::ranges::upper_bound(changes_, second);
  if (after == changes_.end() && footer_.present) return by_footer(second) * kSecond;
  if (after == changes_.begin()) return before_ * kSecond;
  return offsets_[static_cast<std::size_t>(after - changes_.begin()) - 1] * kSecond;
}

std::int64_t TimeZone::from_local(std::int64_t local) const {
  // As Go does: guess with the offset of the local number, then look whether it holds at the guess.
  const std::int64_t guess = offset_at(local);
  if (guess == 0) return local;
  const std::int64_t moment = local - guess;
  const std::int64_t there = offset_at(moment);
  return there == guess ? moment : local - there;
}

}  // namespace flux::query
