#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/hash.h"
#include "core/shape.h"
#include "stream/channel.h"

namespace flux::stream {

/// Which channels want what. A look-up costs what matches, and not how many there are: channels lie by device, else by
/// label, else by metric, and only those that want a whole tenant are always looked at. Any thread.
class Index {
 public:
  void add(const ChannelPtr& channel);
  void remove(const ChannelPtr& channel);

  /// Channels that want something of a row of this shape.
  [[nodiscard]] std::vector<ChannelPtr> match(const wire::DeviceContext& device, const ShapeKey& shape) const;
  /// Channels that want the device, whatever its metrics.
  [[nodiscard]] std::vector<ChannelPtr> match(const wire::DeviceContext& device) const;

  /// Grows with every change: what was matched before may be wrong now.
  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  [[nodiscard]] bool empty() const { return count_.load(std::memory_order_relaxed) == 0; }

 private:
  using Channels = std::vector<ChannelPtr>;
  template <class Value>
  using ByText = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;
  struct Tenant {
    ByText<Channels> devices;
    std::map<Tag, Channels> labels;
    ByText<Channels> metrics;
    Channels all;
  };
  template <class Visit>
  void places(const Selector& selector, Visit visit);
  void collect(const wire::DeviceContext& device, const ShapeKey* shape, Channels& out) const;

  mutable std::shared_mutex mutex_;
  std::unordered_map<TenantId, Tenant> tenants_;
  std::atomic<std::uint64_t> version_{1};
  std::atomic<std::size_t> count_{0};
};

}  // namespace flux::stream
