#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/shape.h"
#include "wire/processed/processed.h"

namespace flux::stream {

/// What a subscriber wants to see: all conditions hold, an empty one always does.
struct Selector {
  TenantId tenant;
  std::vector<std::string> devices;
  std::vector<Tag> labels;  ///< each must be there with just this value
  std::vector<std::string> metrics;
  std::vector<std::string> measurements;
  friend bool operator==(const Selector&, const Selector&) = default;

  /// Sorted, without repeats: so that equal selections are equal.
  void normalize();
  [[nodiscard]] bool matches(const wire::DeviceContext& device) const;
  [[nodiscard]] bool matches_metric(std::string_view metric) const;
  [[nodiscard]] bool matches_measurement(std::string_view measurement) const;
  /// Whether rows of this shape hold anything of it, their device aside.
  [[nodiscard]] bool matches(const ShapeKey& shape) const;
};

}  // namespace flux::stream
