#include "gateway/rest/topic_pages.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace flux::gateway {
namespace {

using nlohmann::json;

constexpr std::uint64_t kFewestAtOnce = 16;
constexpr std::uint64_t kMostAtOnce = 4096;
constexpr std::size_t kRecordsPerPage = 100'000;  // looked through before a page is given as it is
constexpr std::size_t kReadBytes = 1 << 20;

struct Item {
  Time appended_at;
  Offset offset;
  std::string json;
};

/// One partition, read backwards: `items` is its newest stretch that is not given out yet, newest last.
struct Lane {
  PartitionId partition;
  Offset first;                           // oldest record kept
  Offset upper;                           // everything at and above was looked at (and is in `items` or given out)
  Offset given;                           // everything at and above was given out or passed over for good
  std::uint64_t stretch = kFewestAtOnce;  // records to read at once: grows while nothing is found
  std::vector<Item> items;

  [[nodiscard]] bool exhausted() const { return items.empty() && upper <= first; }
};

std::unexpected<Error> bad_cursor() {
  return fail(ErrorCode::invalid_argument, "not a cursor: expected the value of 'next' from the answer before",
              "cursor");
}

/// `0-812.1-77`: per partition, the offset that the next page stays below.
std::string encode(const std::vector<Lane>& lanes) {
  std::string text;
  for (const Lane& lane : lanes) {
    if (!text.empty()) text += '.';
    text += std::to_string(lane.partition.value) + "-" + std::to_string(lane.given.value);
  }
  return text;
}

Result<> decode(std::string_view cursor, std::vector<Lane>& lanes) {
  std::size_t index = 0;
  while (!cursor.empty()) {
    if (index == lanes.size()) return bad_cursor();
    const char* end = cursor.data() + cursor.size();
    std::uint16_t partition = 0;
    std::uint64_t offset = 0;
    const auto p = std::from_chars(cursor.data(), end, partition);
    if (p.ec != std::errc() || p.ptr == end || *p.ptr != '-') return bad_cursor();
    const auto o = std::from_chars(p.ptr + 1, end, offset);
    if (o.ec != std::errc() || (o.ptr != end && *o.ptr != '.')) return bad_cursor();
    Lane& lane = lanes[index++];
    if (partition != lane.partition.value || offset > lane.upper.value) return bad_cursor();
    lane.upper = lane.given = {offset};
    cursor.remove_prefix(static_cast<std::size_t>(o.ptr - cursor.data()) + (o.ptr == end ? 0 : 1));
  }
  return index == lanes.size() ? Result<>{} : bad_cursor();
}

/// The log has times in RFC 3339.
void respell(json& event, std::string_view member, Epoch epoch) {
  const auto found = event.find(member);
  if (found == event.end() || !found->is_string()) return;
  const auto time = parse_rfc3339(found->get_ref<const std::string&>());
  if (!time) return;
  std::string text;
  append_time(text, *time, epoch);
  *found = json::parse(text);
}

/// Empty where the member is missing or no text: a dead letter may have neither time nor device.
std::string text_of(const json& event, std::string_view member) {
  const auto found = event.find(member);
  return found != event.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool wanted(json& event, const TopicFilter& filter) {
  if (!event.is_object() || event.value("tenant", std::uint32_t{0}) != filter.tenant.value) return false;
  if (!filter.device.empty() && text_of(event, "device") != filter.device) return false;
  if (!filter.types.empty() && std::ranges::find(filter.types, text_of(event, "type")) == filter.types.end())
    return false;
  if (filter.from != Time::min() || filter.to != Time::max()) {
    const std::string received_at = text_of(event, "received_at");
    const auto at = parse_rfc3339(received_at.empty() ? text_of(event, "time") : received_at);
    if (!at || *at < filter.from || *at >= filter.to) return false;
  }
  event.erase("tenant");
  if (filter.epoch != Epoch::rfc3339)
    for (const std::string_view member : {"time", "received_at"}) respell(event, member, filter.epoch);
  return true;
}

/// Reads the stretch before `upper`; returns how many records were looked at.
Result<std::size_t> extend(bus::Bus& bus, bus::Topic topic, const TopicFilter& filter, Lane& lane) {
  const std::uint64_t before = lane.upper.value - lane.first.value;
  const Offset from{lane.upper.value - std::min(before, lane.stretch)};
  lane.stretch = std::min(lane.stretch * 2, kMostAtOnce);
  TRY(const auto reader, bus.reader(topic, lane.partition, from));
  std::size_t looked = 0;
  bool done = false;
  while (!done) {
    auto records = reader->read(kReadBytes);
    if (!records) {
      // A damaged stretch costs its own records only.
      if (records.error().code != ErrorCode::corrupt) return std::unexpected(std::move(records).error());
      DO(reader->skip_damage());
      done = reader->position() >= lane.upper;
      continue;
    }
    if (records->empty()) break;
    for (const bus::Record& record : *records) {
      if (record.offset >= lane.upper) {
        done = true;
        break;
      }
      ++looked;
      if (record.kind != bus::RecordKind::event || !record.payload) continue;
      json event = json::parse(*record.payload, nullptr, false);
      if (wanted(event, filter)) lane.items.push_back({record.appended_at, record.offset, event.dump()});
    }
    done = done || reader->position() >= lane.upper;
  }
  lane.upper = from;
  if (lane.items.empty()) lane.given = from;
  return std::max<std::size_t>(looked, 1);
}

}  // namespace

Result<TopicPage> read_topic(bus::Bus& bus, bus::Topic topic, const TopicFilter& filter, std::size_t limit,
                             std::string_view cursor) {
  std::vector<Lane> lanes;
  for (std::size_t p = 0; p < bus.partition_count(); ++p) {
    const PartitionId partition{static_cast<std::uint16_t>(p)};
    if (!filter.device.empty() &&
        partition != partition_of(bucket_of(filter.tenant, filter.device), bus.partition_count()))
      continue;
    TRY(const auto info, bus.info(topic, partition));
    lanes.push_back({.partition = partition,
                     .first = info.first,
                     .upper = info.end,
                     .given = info.end,
                     .stretch = std::clamp<std::uint64_t>(limit, kFewestAtOnce, kMostAtOnce),
                     .items = {}});
  }
  DO(cursor.empty() ? Result<>{} : decode(cursor, lanes));
  // What retention removed since the page before is simply gone.
  for (Lane& lane : lanes) lane.upper = lane.given = std::max(lane.upper, lane.first);

  TopicPage page;
  std::size_t looked = 0;
  while (page.items.size() < limit && looked < kRecordsPerPage) {
    Lane* newest = nullptr;
    for (Lane& lane : lanes) {
      while (lane.items.empty() && lane.upper > lane.first && looked < kRecordsPerPage) {
        TRY(const std::size_t more, extend(bus, topic, filter, lane));
        looked += more;
      }
      if (!lane.items.empty() &&
          (newest == nullptr || lane.items.back().appended_at > newest->items.back().appended_at))
        newest = &lane;
    }
    if (newest == nullptr) break;
    newest->given = newest->items.back().offset;
    page.items.push_back(std::move(newest->items.back().json));
    newest->items.pop_back();
    if (newest->items.empty()) newest->given = newest->upper;
  }
  const bool more = std::ranges::any_of(lanes, [](const Lane& lane) { return !lane.exhausted(); });
  if (more) page.next = encode(lanes);
  return page;
}

}  // namespace flux::gateway
