#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/ids.h"
#include "core/result.h"

namespace flux::process {

/// Grows each time somebody takes a partition over.
struct Generation {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(Generation, Generation) = default;
};

/// A partition's state as of an offset.
struct Checkpoint {
  Offset next;  ///< the first record that the state has not seen
  std::string data;
};

/// Keeps the newest checkpoints of each partition. May block: files and networks. Calls for different partitions may
/// come from different threads at once.
class Checkpoints {
 public:
  virtual ~Checkpoints() = default;
  /// Takes the partition over: what older generations write from now on is refused.
  virtual Result<Generation> take_over(PartitionId partition) = 0;
  /// Durable on return. Keeps the one before it as well, in case this turns out to be damaged later.
  /// `permission_denied` when a newer generation has taken over: nothing was written.
  virtual Result<> write(PartitionId partition, Generation generation, const Checkpoint& checkpoint) = 0;
  /// Offsets of the checkpoints there are, newest first.
  virtual Result<std::vector<Offset>> list(PartitionId partition) = 0;
  /// `corrupt` when its bytes are damaged: an older one may do.
  virtual Result<Checkpoint> read(PartitionId partition, Offset next) = 0;
};

}  // namespace flux::process
