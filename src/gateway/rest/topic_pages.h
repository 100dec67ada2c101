#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bus/bus.h"
#include "core/epoch.h"
#include "core/result.h"
#include "core/time.h"

namespace flux::gateway {

/// Which records of a topic of JSON events are wanted.
struct TopicFilter {
  TenantId tenant;
  std::string device;              ///< empty: any
  std::vector<std::string> types;  ///< of `type`; empty: any
  Time from = Time::min();         ///< of `received_at` where there is one, else `time`
  Time to = Time::max();
  Epoch epoch = Epoch::rfc3339;  ///< how `time` and `received_at` are spelled in the page
};

struct TopicPage {
  std::vector<std::string> items;  ///< JSON objects, newest first, as the API shows them
  std::string next;                ///< cursor; empty: that was all
};

/// Reads the newest events of a topic straight from the log, backwards, page by page. A page may come short, even
/// empty, with a cursor when much had to be looked through. Blocks: for a worker. `invalid_argument` with field
/// `cursor` for one that is not ours.
Result<TopicPage> read_topic(bus::Bus& bus, bus::Topic topic, const TopicFilter& filter, std::size_t limit,
                             std::string_view cursor);

}  // namespace flux::gateway
