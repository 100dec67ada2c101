#include "process/discovery.h"

#include <algorithm>

#include "observe/json.h"

namespace flux::process {

void Discovery::apply(Work& work, Signals& signals) {
  for (std::size_t group = 0; group < work.plans.size(); ++group) {
    ShapePlan& plan = *work.plans[group];
    state_.seen_event(*plan.device, work.newest[group]);
    if (!plan.metrics_known) discover(plan, work.received_at, signals);
  }
}

void Discovery::discover(ShapePlan& plan, Time received_at, Signals& signals) {
  plan.metrics_known = true;
  const ShapeKey& key = plan.shape->key();
  KnownMetrics fresh;
  for (const FieldDef& field : key.fields) {
    KnownMetric metric{key.measurement, field.name, field.type};
    if (!std::ranges::binary_search(*plan.device->metrics, metric)) fresh.push_back(std::move(metric));
  }
  if (fresh.empty()) return;
  KnownMetrics all = *plan.device->metrics;
  all.insert(all.end(), fresh.begin(), fresh.end());
  std::ranges::sort(all);
  plan.device->metrics = state_.intern(std::move(all));

  std::string details = "{\"measurement\":";
  observe::append_json_string(details, key.measurement);
  details += ",\"metrics\":[";
  std::string names;
  for (const KnownMetric& metric : fresh) {
    if (&metric != &fresh.front()) details += ',';
    details += "{\"name\":";
    observe::append_json_string(details, metric.field);
    details += ",\"type\":\"";
    details += to_string(metric.type);
    details += "\"}";
    constexpr std::size_t kNamesShown = 5;
    if (&metric - fresh.data() < static_cast<std::ptrdiff_t>(kNamesShown))
      names += (names.empty() ? "" : ", ") + metric.field;
    else if (&metric - fresh.data() == static_cast<std::ptrdiff_t>(kNamesShown)) names += ", …";
  }
  details += "]}";
  const std::string message =
      plan.device->id + (fresh.size() == 1 ? " has a new metric: " : " has new metrics: ") + names;
  signals.event(EventType::metric_discovered, plan.device, received_at, message, details, std::move(fresh));
}

}  // namespace flux::process
