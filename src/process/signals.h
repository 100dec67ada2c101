#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bus/bus.h"
#include "core/ids.h"
#include "core/time.h"
#include "core/value.h"
#include "process/state.h"

namespace flux::process {

enum class Reason : std::uint8_t {
  out_of_range,    ///< beyond the profile's min or max
  non_finite,      ///< NaN or an infinity
  clock_skew,      ///< an event time too far in the future
  too_old,         ///< an event time too far in the past
  too_large,       ///< a string beyond the limit
  corrupt_record,  ///< a control record that cannot be read
  device_removed,  ///< under way while its device was being removed
};
inline constexpr std::size_t kReasonCount = 7;
std::string_view to_string(Reason reason);

enum class EventType : std::uint8_t { device_discovered, metric_discovered, device_silent, device_online };
std::string_view to_string(EventType type);

/// One output of a record: an object for a topic, and what it says in a form that other sinks can use.
struct Signal {
  bus::Topic topic = bus::Topic::device_events;  ///< or dead_letters
  std::uint32_t ordinal = 0;                     ///< within the record
  TenantId tenant;
  std::string device;
  std::shared_ptr<const std::string> json;  ///< as the API shows it, behind `"tenant":N,` (see wire::split_tenant)

  std::optional<EventType> event;  ///< none: a dead letter
  DeviceStatePtr state;            ///< of device events
  KnownMetrics metrics;            ///< of *_discovered: the new ones
};

/// Collects what one record brings about. Ids and ordinals come from the record's place and the order of the calls, so
/// that a replay makes the very same bytes.
///
/// ```
/// {"tenant":1,"id":"3-812-0","time":"…","received_at":"…","device":"pump-1","metric":"temperature","value":190,
///  "reason":"out_of_range","message":"…","source":{"partition":3,"offset":812}}                      a dead letter
/// {"tenant":1,"id":"3-812-1","time":"…","device":"pump-1","type":"device_silent","message":"…","details":{…}}
/// ```
class Signals {
 public:
  /// For the next record; forgets the last one's.
  void begin(Position input, std::uint32_t max_dead_letters);

  /// One value that was refused. `value_json` is its JSON text.
  void refuse(const DeviceState& device, Time event, Time received_at, std::string_view metric,
              std::string_view value_json, Reason reason, std::string_view message);
  /// A whole row of `readings` values.
  void refuse_row(const DeviceState& device, Time event, Time received_at, std::size_t readings, Reason reason,
                  std::string_view message);
  /// A record that nobody can read.
  void refuse_record(Reason reason, std::string_view message);

  /// `details` is a JSON object.
  void event(EventType type, const DeviceStatePtr& device, Time at, std::string_view message, std::string_view details,
             KnownMetrics metrics = {});
  /// Adds the dead letter that stands for those beyond the limit.
  void end();

  [[nodiscard]] const std::vector<Signal>& all() const { return signals_; }
  [[nodiscard]] std::vector<Signal> take() { return std::move(signals_); }
  /// Readings refused, by reason, whether or not they have a dead letter of their own.
  [[nodiscard]] const std::array<std::uint64_t, kReasonCount>& refused() const { return refused_; }

 private:
  void dead_letter(TenantId tenant, std::string_view device, std::optional<Time> event, Time received_at,
                   std::optional<std::string_view> metric, std::string_view value_json, std::string_view reason,
                   std::string_view message);
  std::string open(TenantId tenant) const;
  void add(bus::Topic topic, TenantId tenant, std::string_view device, std::string json);

  Position input_;
  std::uint32_t max_dead_letters_ = 0;
  std::uint32_t dead_letters_ = 0;
  std::uint64_t beyond_ = 0;
  Signal last_beyond_;
  Time last_received_at_;
  std::array<std::uint64_t, kReasonCount> refused_{};
  std::vector<Signal> signals_;
};

}  // namespace flux::process
