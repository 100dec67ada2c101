#include "runtime/timers.h"

#include <algorithm>

namespace flux::runtime {

Timer::Timer(std::shared_ptr<State> state) : state_(std::move(state)) {}
Timer::Timer(Timer&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

Timer::~Timer() { cancel(); }

void Timer::cancel() {
  const auto state = std::exchange(state_, nullptr);
  if (state && state->active && state->heap != nullptr) state->heap->cancel(*state);
}

bool Timer::active() const { return state_ && state_->active; }

TimerHeap::~TimerHeap() {
  for (auto& entry : heap_) {
    entry.state->heap = nullptr;
    entry.state->active = false;
  }
}

bool TimerHeap::later(const Entry& a, const Entry& b) { return a.due != b.due ? a.due > b.due : a.order > b.order; }

Timer TimerHeap::add(Duration due, Duration period, std::move_only_function<void()> callback) {
  auto state = std::make_shared<Timer::State>();
  state->heap = this;
  state->callback = std::move(callback);
  state->period = period;
  state->active = true;
  push(due, state);
  return Timer(std::move(state));
}

void TimerHeap::push(Duration due, std::shared_ptr<Timer::State> state) {
  heap_.push_back({due, next_order_++, std::move(state)});
  std::ranges::push_heap(heap_, later);
}

void TimerHeap::pop() {
  std::ranges::pop_heap(heap_, later);
  heap_.pop_back();
}

void TimerHeap::cancel(Timer::State& state) {
  state.active = false;
  if (state.running) return;                        // its entry has left the heap, and its callback is being called
  const auto callback = std::move(state.callback);  // what it holds goes now, not when it would have been due
  ++cancelled_;
  if (cancelled_ > 64 && cancelled_ > heap_.size() / 2) {
    std::erase_if(heap_, [](const Entry& entry) { return !entry.state->active; });
    std::ranges::make_heap(heap_, later);
    cancelled_ = 0;
  }
}

void TimerHeap::run_due(Duration now) {
  while (!heap_.empty()) {
    if (!heap_.front().state->active) {
      pop();
      if (cancelled_ > 0) --cancelled_;
      continue;
    }
    if (heap_.front().due > now) return;
    const auto due = heap_.front().due;
    const auto state = heap_.front().state;
    pop();
    auto callback = std::move(state->callback);
    state->running = true;
    if (state->period.ns == 0) state->active = false;
    callback();
    state->running = false;
    if (!state->active) continue;
    state->callback = std::move(callback);
    const auto missed = std::max<std::int64_t>(0, (now - due).ns / state->period.ns);
    push(due + state->period * (missed + 1), state);
  }
}

Duration TimerHeap::next_due() const { return heap_.empty() ? kNever : heap_.front().due; }

}  // namespace flux::runtime
