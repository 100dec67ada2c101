#pragma once

#include <array>

#include "control/command.h"
#include "observe/metrics.h"

namespace flux::control {

struct Metrics {
  explicit Metrics(metrics::Registry& r)
      : waiting{&waiting_gauge(r, "queued"), &waiting_gauge(r, "sent"), &waiting_gauge(r, "delivered")},
        ended{&ended_counter(r, "queued"),    &ended_counter(r, "sent"),   &ended_counter(r, "delivered"),
              &ended_counter(r, "succeeded"), &ended_counter(r, "failed"), &ended_counter(r, "expired"),
              &ended_counter(r, "cancelled")},
        in_flight(r.gauge("fluxgate_control_in_flight", "Commands on an open connection whose PUBACK is awaited.")),
        deliveries(r.counter("fluxgate_control_deliveries_total", "Times that a command was handed to a connection.")),
        retries(r.counter("fluxgate_control_retries_total", "Steps that the database did not take at first.")),
        delivery_seconds(r.histogram("fluxgate_control_delivery_seconds",
                                     "From a command's creation until its device said that it has it.",
                                     metrics::Buckets::seconds())) {}

  void count(const Change& change) {
    const auto slot = [](State state) { return static_cast<std::size_t>(state) - 1; };
    if (change.before) waiting[slot(*change.before)]->add(-1);
    if (!change.after.finished()) waiting[slot(change.after.state)]->add(1);
    else if (change.before) ended[slot(change.after.state)]->add();
    if (change.before && *change.before < State::delivered && change.after.delivered_at)
      delivery_seconds.observe(*change.after.delivered_at - change.after.created_at);
  }

  std::array<metrics::Gauge*, 3> waiting;  // by state
  std::array<metrics::Counter*, kStateCount> ended;
  metrics::Gauge& in_flight;
  metrics::Counter &deliveries, &retries;
  metrics::Histogram& delivery_seconds;

 private:
  static metrics::Gauge& waiting_gauge(metrics::Registry& r, std::string_view state) {
    return r.gauge("fluxgate_control_commands", "Commands that are not finished, by state.", {{"state", state}});
  }
  static metrics::Counter& ended_counter(metrics::Registry& r, std::string_view state) {
    return r.counter("fluxgate_control_finished_total", "Commands that came to an end, by their last state.",
                     {{"state", state}});
  }
};

}  // namespace flux::control
