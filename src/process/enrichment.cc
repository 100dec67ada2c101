#include "process/enrichment.h"

namespace flux::process {

void Enrichment::apply(Work& work, Signals& /*signals*/) {
  work.contexts.clear();
  work.contexts.reserve(work.plans.size());
  for (const ShapePlan* plan : work.plans) work.contexts.push_back(plan->device->context);
}

}  // namespace flux::process
