#pragma once

#include "process/sinks.h"

namespace flux::process {

/// Outputs to those who look on. Readings that a former run had shown already are left out.
class LiveOutput final : public Sink {
 public:
  LiveOutput(LiveSink& live, Offset from) : live_(live), from_(from) {}
  Result<> write(const Outputs& outputs) override;

 private:
  LiveSink& live_;
  Offset from_;
};

}  // namespace flux::process
