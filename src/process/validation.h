#pragma once

#include <vector>

#include "process/stage.h"

namespace flux::process {

/// Takes out what a device cannot mean: values beyond their profile's range, NaN and infinities, event times far from
/// the arrival, endless strings. Each becomes a dead letter with its reason; the rest of the batch goes on. A batch
/// without fault goes on as the very object that came.
class Validation final : public Stage {
 public:
  explicit Validation(const PartitionState& state) : state_(state) {}
  void apply(Work& work, Signals& signals) override;

 private:
  /// What is refused of one group. `rows` and each field hold one bit per row.
  struct Refused {
    std::size_t group = 0;
    std::vector<std::uint64_t> rows;
    std::vector<std::vector<std::uint64_t>> fields;  ///< empty: none of that field
  };

  Refused& refused(const Work& work, std::size_t group);
  void check_times(const Work& work, std::size_t group, Signals& signals);
  void refuse_values(const Work& work, std::size_t group, const FieldCheck& check, Signals& signals);
  void filter(Work& work);

  const PartitionState& state_;
  std::int64_t oldest_ = 0;  // event times accepted of this batch, inclusive
  std::int64_t newest_ = 0;
  std::vector<Refused> refused_;
};

}  // namespace flux::process
