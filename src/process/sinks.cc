#include "process/sinks.h"

#include <algorithm>

namespace flux::process {

Result<> Sinks::write(const Outputs& outputs) {
  for (; next_ < sinks_.size(); ++next_) DO(sinks_[next_]->write(outputs));
  next_ = 0;
  return {};
}

Offset Sinks::durable() const {
  Offset least = kEverything;
  for (const Sink* sink : sinks_) least = std::min(least, sink->durable());
  return least;
}

void Sinks::caught_up(const PartitionState& state) {
  for (Sink* sink : sinks_) sink->caught_up(state);
}

}  // namespace flux::process
