#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "core/hash.h"
#include "registry/directory.h"

namespace flux::registry {

/// A tenant's devices in the order of their names, and how many share each combination of labels and profile.
/// Guarded by its owner: changes need its lock alone, everything else needs it shared. Entries stay the owner's.
class DeviceIndex {
 public:
  struct SearchResult {
    std::vector<DeviceEntry*> devices;
    bool more = false;
    std::size_t total = 0;
  };
  /// Where a page starts: after this device, as it stood on the last page.
  struct After {
    std::string name;  ///< or id where it had no name
    std::string id;
    DeviceState state = DeviceState::never;
    std::int64_t last_seen = 0;
    std::size_t total = 0;  ///< counted on the first page
  };

  [[nodiscard]] std::size_t size() const { return size_; }
  void insert(std::vector<DeviceEntry*> entries);
  void erase(DeviceEntry& entry);
  /// Moves the device to where its new settings put it.
  void change(DeviceEntry& entry, DeviceSettingsPtr settings);

  [[nodiscard]] SearchResult search(const DeviceFilter& filter, DeviceSort sort, const After* after,
                                    std::size_t limit) const;
  void count_into(DeviceFacets& facets) const;

  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& chunk : chunks_) {
      for (DeviceEntry* const entry : chunk) {
        if (!visit(*entry)) return;
      }
    }
  }

  /// What people see as its name.
  static std::string_view name_of(const DeviceEntry& entry) {
    const auto& name = entry.settings_->name;
    return name ? std::string_view(*name) : std::string_view(entry.id());
  }
  static bool matches(const DeviceEntry& entry, const DeviceFilter& filter, const DeviceSettings& settings);

 private:
  class Matcher;
  using Chunk = std::vector<DeviceEntry*>;
  struct Place {
    std::size_t chunk = 0;
    std::size_t at = 0;
  };

  /// The first device that is not before (`name`, `id`).
  [[nodiscard]] Place lower_bound(std::string_view name, std::string_view id) const;
  void insert_one(DeviceEntry& entry);
  void rebuild(std::vector<DeviceEntry*> sorted_new);
  void take_out(DeviceEntry& entry);
  void count(const DeviceSettings& settings, std::ptrdiff_t by);
  template <class Visit>
  void visit_from(Place place, Visit visit) const;

  std::vector<Chunk> chunks_;  // none empty, each sorted, in order
  std::size_t size_ = 0;

  struct Group {
    LabelsPtr labels;
    ProfileSlotPtr profile;
    std::size_t devices = 0;
  };
  struct GroupHash {
    std::size_t operator()(const std::pair<const void*, const void*>& key) const {
      return hash64(std::as_bytes(std::span(&key, 1)));
    }
  };
  boost::unordered_flat_map<std::pair<const void*, const void*>, Group, GroupHash> groups_;
};

}  // namespace flux::registry
