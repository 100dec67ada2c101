#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "process/pipeline.h"
#include "wire/processed/processed.h"

namespace flux::process {

inline constexpr Offset kEverything{UINT64_MAX};

/// Where outputs go. All calls come from the partition's thread.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Takes what one record brought about. `exhausted`, `unavailable` and `io` mean that nothing was taken: the same
  /// outputs come again later. A repeat from before a crash is ignored.
  virtual Result<> write(const Outputs& outputs) = 0;
  /// What came from records before this offset is safe from any crash. `kEverything` when nothing is under way.
  [[nodiscard]] virtual Offset durable() const { return kEverything; }
  /// All that the log held at the start has been processed: `state` is what the world looks like now.
  virtual void caught_up(const PartitionState& /*state*/) {}
};

/// All sinks of a partition, in order. After one could not take the outputs, the next call goes on with that one.
class Sinks {
 public:
  void add(Sink& sink) { sinks_.push_back(&sink); }
  Result<> write(const Outputs& outputs);
  [[nodiscard]] Offset durable() const;
  void caught_up(const PartitionState& state);

 private:
  std::vector<Sink*> sinks_;
  std::size_t next_ = 0;
};

/// A device that changed its state, for those who look on.
struct StateChange {
  wire::DeviceContextPtr device;
  bool online = true;  ///< or silent
  Time last_seen;
};

/// Who shows live what passes: `stream::Hub` behind a few lines in `app`, so that neither room leans on the other.
/// Called on the partition's thread; must neither block nor fail.
class LiveSink {
 public:
  virtual ~LiveSink() = default;
  virtual void on_batch(const wire::ProcessedBatch& batch) = 0;
  virtual void on_state(const StateChange& change) = 0;
  /// `json` is the event as its topic has it.
  virtual void on_event(TenantId tenant, const std::string& device, const std::shared_ptr<const std::string>& json) = 0;
};

}  // namespace flux::process
