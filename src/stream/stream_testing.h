#pragma once

// For the tests of this room: a reader that remembers, and batches in one line.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "core/batch_builder.h"
#include "stream/subscriber.h"
#include "wire/processed/processed.h"

namespace flux::stream::testing {

/// Keeps what it is sent. Frames may be looked at from other threads.
class Reader final : public Subscriber {
 public:
  [[nodiscard]] bool writable() const override {
    const std::lock_guard lock(mutex_);
    return room_ > 0;
  }
  void send(std::uint64_t id, const FramePtr& frame) override {
    const std::lock_guard lock(mutex_);
    if (room_ != SIZE_MAX) --room_;
    frames_.emplace_back(id, frame);
    changed_.notify_all();
  }

  /// How many more frames there is room for.
  void set_room(std::size_t frames) {
    const std::lock_guard lock(mutex_);
    room_ = frames;
  }
  [[nodiscard]] std::vector<std::pair<std::uint64_t, FramePtr>> frames() const {
    const std::lock_guard lock(mutex_);
    return frames_;
  }
  /// What it got as text, one message after another.
  [[nodiscard]] std::vector<std::string> messages() const {
    std::vector<std::string> all;
    for (const auto& [id, frame] : frames()) all.push_back(frame->head(id) + frame->rest);
    return all;
  }
  /// Waits until `done` holds of the frames; false after ten seconds.
  bool wait(const std::function<bool(const std::vector<std::pair<std::uint64_t, FramePtr>>&)>& done) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return done(frames_); });
  }
  bool wait_for_frames(std::size_t count) {
    return wait([&](const auto& frames) { return frames.size() >= count; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t room_ = SIZE_MAX;
  std::vector<std::pair<std::uint64_t, FramePtr>> frames_;
};

inline ShapePtr make_shape(std::string device, std::vector<FieldDef> fields, TenantId tenant = {1}) {
  return std::make_shared<const Shape>(
      ShapeKey{.tenant = tenant, .device = std::move(device), .fields = std::move(fields)});
}

inline wire::DeviceContextPtr make_context(const Shape& shape, std::vector<Tag> labels = {}) {
  auto context = std::make_shared<wire::DeviceContext>();
  context->tenant = shape.tenant();
  context->device = shape.device();
  context->labels = std::move(labels);
  return context;
}

/// One row of doubles.
inline wire::ProcessedBatch one_row(const ShapePtr& shape, const wire::DeviceContextPtr& context, Time time,
                                    const std::vector<double>& values) {
  BatchBuilder builder;
  const auto row = builder.add_row(shape, time);
  for (std::size_t i = 0; i < values.size(); ++i) row[i] = to_cell(values[i]);
  return {.batch = builder.seal(time), .contexts = {context}, .position = {}};
}

}  // namespace flux::stream::testing
