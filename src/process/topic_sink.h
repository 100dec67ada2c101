#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "bus/bus.h"
#include "process/sinks.h"

namespace flux::process {

/// Runs a task later on the partition's thread. Called from any thread.
using Post = std::function<void(std::move_only_function<void()>)>;

/// Dead letters or device events to their topic, each exactly once: what a former run has published since the
/// checkpoint is read back from the topic and left out.
class TopicSink : public Sink {
 public:
  /// What may wait for the log; once there is so much, `write` is `exhausted`.
  struct Limits {
    std::size_t outputs;
    std::size_t bytes;
  };
  TopicSink(bus::Bus& bus, bus::Topic topic, PartitionId partition, Limits limits, Post post);
  ~TopicSink() override;

  /// Finds what was published of the records from `input` on; it lies at or behind `from` in the topic.
  Result<> recover(Offset input, Offset from);
  /// Where in the topic a later `recover` has to begin for records that are processed from now on.
  [[nodiscard]] Offset scan_from() const;

  /// A checkpoint that said `from` is safe: nothing before it will be looked for.
  void settled(Offset from);

  Result<> write(const Outputs& outputs) override;
  [[nodiscard]] Offset durable() const override;
  /// Publishes again what the log could not take. Now and then.
  void retry();
  [[nodiscard]] std::size_t waiting() const;
  /// Outputs that the log will never take; each was said in the log.
  [[nodiscard]] std::uint64_t refused_outputs() const;

 protected:
  /// Hands the outputs that are for this topic to `add`, in the order of their ordinals.
  virtual void collect(const Outputs& outputs);
  void add(Position input, std::uint32_t ordinal, bus::RecordKind kind, bus::Payload payload);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace flux::process
