#pragma once

#include "process/stage.h"

namespace flux::process {

/// Puts beside each group what is known of its device: profile, units, labels, location. Identity stays as it is.
class Enrichment final : public Stage {
 public:
  void apply(Work& work, Signals& signals) override;
};

}  // namespace flux::process
