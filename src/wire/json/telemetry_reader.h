#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "wire/json/device_rows.h"

/// Telemetry as JSON, the way devices send it by HTTP and MQTT.
///
/// ```
/// {"device":"pump-1","time":"2026-01-01T00:00:00Z","metrics":{"temperature":21.5}}       single
/// [{"device":"pump-1","metrics":{…}}, …]                                                 array
/// {"device":"pump-1","readings":[{"time":1767225600000,"metrics":{…}}, …]}               readings of one device
/// {"temperature":21.5,"running":true}                                                    flat (MQTT only)
/// ```
///
/// `device` may be left out where topic or credential name it, `time` everywhere. In the flat form, and in an array of
/// flat ones, the names `time`, `device`, `metrics` and `readings` keep their meaning; a metric of such a name needs
/// the `metrics` object around it.
///
/// Times: RFC 3339 text, or a Unix number in s, ms, µs or ns, told apart by magnitude (core/time.h). A number with a
/// fraction is read as a double, which holds times of today to about a quarter of a microsecond.
///
/// Values: numbers, booleans, strings; null means that there is no value. Objects and arrays are refused (documents
/// take them later). Numbers become doubles unless the device's metric has another type; integers beyond 2^53 are then
/// rounded to the nearest double. For int64 and uint64 metrics integers are exact, `5.0` and `5e0` count as 5, and what
/// is out of range or has a fraction is refused. Numbers beyond the range of double are refused.
///
/// Refusal is by value: one bad value is reported with its path while its neighbours are taken. A bad time, device or
/// unknown name beside `metrics` refuses that reading object. Text that is not JSON refuses the message before anything
/// of it counts. A name that stands twice in one object: the first value counts, the second is refused.
namespace flux::wire::json {

struct TelemetryLimits {
  std::size_t max_rows = 100'000;            ///< reading objects in one message
  std::size_t max_metrics = 1'024;           ///< names in one `metrics` object
  std::size_t max_name_bytes = 128;          ///< of a metric's name; control characters are refused
  std::size_t max_string_bytes = 16 * 1024;  ///< of one string value
  std::size_t max_depth = 32;                ///< of the text; anything within a value is refused as such anyway
  std::size_t max_refusals = 100;            ///< listed ones; all are counted
};

enum class TelemetryForm : std::uint8_t {
  enveloped,  ///< HTTP: values stand in `metrics`
  any,        ///< MQTT: the flat form too
};

/// Where rows go. One thread.
class TelemetrySink {
 public:
  virtual ~TelemetrySink() = default;
  /// The device that `name` stands for; empty when the payload names none. Not called again for the same name in a row.
  /// The result stays valid until the message is read.
  virtual Result<DeviceRows*> device(std::string_view name) = 0;
};

/// Something of a message that was not taken.
struct Refusal {
  std::uint32_t index = 0;  ///< position in the array or in `readings`; 0 for a single one
  Error error;              ///< `field` is the path: `[3].metrics.temperature`, `readings[3].time`
};

struct TelemetryOutcome {
  std::uint32_t rows = 0;
  std::uint32_t readings = 0;  ///< values taken
  std::uint32_t refused = 0;   ///< values, or whole reading objects, not taken
  std::vector<Refusal> refusals;
  void clear() {
    rows = readings = refused = 0;
    refusals.clear();
  }
};

/// Reads messages one after another; keeps its buffers between them. One thread.
class TelemetryReader {
 public:
  explicit TelemetryReader(TelemetryLimits limits = {});
  ~TelemetryReader();
  TelemetryReader(const TelemetryReader&) = delete;
  TelemetryReader& operator=(const TelemetryReader&) = delete;

  /// Writes the rows of `text` into the builders that `sink` names and says in `outcome` (cleared first) what came of
  /// it. An error means that nothing was written: `invalid_argument` with the byte offset where the text is not JSON,
  /// or with the field that no form has; `too_large` for the limits on rows and depth.
  Result<> read(std::string_view text, TelemetryForm form, TelemetrySink& sink, TelemetryOutcome& outcome);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::wire::json
