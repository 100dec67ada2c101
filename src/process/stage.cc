#include "process/stage.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cmath>

namespace flux::process {
namespace {

constexpr double kMostNegative = std::numeric_limits<double>::lowest();
constexpr double kMostPositive = std::numeric_limits<double>::max();

std::int64_t first_int(double min) {
  if (!(min > -9.3e18)) return INT64_MIN;
  const double up = std::ceil(min);
  return up >= 9223372036854775808.0   ? INT64_MAX
         : up < -9223372036854775808.0 ? INT64_MIN
                                       : static_cast<std::int64_t>(up);
}

std::int64_t last_int(double max) {
  if (!(max < 9.3e18)) return INT64_MAX;
  const double down = std::floor(max);
  return down >= 9223372036854775808.0   ? INT64_MAX
         : down < -9223372036854775808.0 ? INT64_MIN
                                         : static_cast<std::int64_t>(down);
}

std::uint64_t first_uint(double min) {
  if (!(min > 0)) return 0;
  const double up = std::ceil(min);
  return up >= 18446744073709551616.0 ? UINT64_MAX : static_cast<std::uint64_t>(up);
}

std::uint64_t last_uint(double max) {
  const double down = std::floor(max);
  if (!(down < 18446744073709551616.0)) return UINT64_MAX;
  return down < 0 ? 0 : static_cast<std::uint64_t>(down);
}

}  // namespace

struct ShapePlans::Map {
  boost::unordered_flat_map<const Shape*, std::unique_ptr<ShapePlan>> plans;
};

ShapePlans::ShapePlans(PartitionState& state) : state_(state), map_(std::make_unique<Map>()) {}
ShapePlans::~ShapePlans() = default;

ShapePlan& ShapePlans::plan(const ShapePtr& shape) {
  std::unique_ptr<ShapePlan>& slot = map_->plans[shape.get()];
  if (!slot) {
    slot = std::make_unique<ShapePlan>();
    slot->shape = shape;
    make(*slot);
  } else if (slot->epoch != slot->device->epoch) {
    make(*slot);
  }
  return *slot;
}

void ShapePlans::trim() {
  if (map_->plans.size() > 65'536 + 4 * state_.device_count()) map_->plans.clear();
}

void ShapePlans::clear() { map_->plans.clear(); }

void ShapePlans::make(ShapePlan& plan) {
  const Shape& shape = *plan.shape;
  plan.device = state_.ensure(shape.tenant(), shape.device());
  plan.epoch = plan.device->epoch;
  plan.metrics_known = false;
  plan.checks.clear();
  for (std::uint32_t field = 0; field < shape.field_count(); ++field) {
    const FieldDef& def = shape.fields()[field];
    const wire::control::MetricRule* rule = nullptr;
    if (plan.device->profile) {
      for (const auto& candidate : plan.device->profile->metrics)
        if (candidate.name == def.name) rule = &candidate;
    }
    const bool ranged = rule != nullptr && (rule->min || rule->max);
    FieldCheck check;
    check.field = field;
    switch (def.type) {
      case ValueType::float64:
        if (rule != nullptr && rule->allow_non_finite) {
          if (!ranged) continue;
          check.kind = FieldCheck::Kind::float64_or_non_finite;
        }
        if (ranged) {
          check.low = std::max(rule->min.value_or(kMostNegative), kMostNegative);
          check.high = std::min(rule->max.value_or(kMostPositive), kMostPositive);
        }
        break;
      case ValueType::int64:
        if (!ranged) continue;
        check.kind = FieldCheck::Kind::int64;
        check.low_int = rule->min ? first_int(*rule->min) : INT64_MIN;
        check.high_int = rule->max ? last_int(*rule->max) : INT64_MAX;
        break;
      case ValueType::uint64:
        if (!ranged) continue;
        check.kind = FieldCheck::Kind::uint64;
        check.low_uint = rule->min ? first_uint(*rule->min) : 0;
        check.high_uint = rule->max ? last_uint(*rule->max) : UINT64_MAX;
        // No unsigned value is below zero: a range that ends there has none.
        if (rule->max && *rule->max < 0) check.low_uint = UINT64_MAX;
        break;
      case ValueType::boolean: continue;
      case ValueType::string:
        check.kind = FieldCheck::Kind::string;
        check.high_uint = state_.rules().max_string_bytes;
        break;
    }
    plan.checks.push_back(check);
  }
}

}  // namespace flux::process
