#include <cstddef>
#include <cstdint>

#include "core/result.h"
#include "wire/json/json_check.h"
#include "wire/json/telemetry_reader.h"
#include "wire/json/testing.h"

/// Whatever arrives, the reader counts what it wrote, takes nothing from text that is not JSON, and says the same
/// twice.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flux::wire::json;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const TelemetryForm form = (data[0] & 1) != 0 ? TelemetryForm::any : TelemetryForm::enveloped;
  static TelemetryReader reader;
  testing::FakeSink sink("self");
  TelemetryOutcome outcome;
  const auto result = reader.read(text, form, sink, outcome);
  CHECK(sink.builder.row_count() == outcome.rows);
  CHECK(sink.builder.reading_count() == outcome.readings);
  CHECK(result.has_value() || outcome.rows == 0);
  if (check_json(text, 32)) CHECK(!result && sink.devices.empty());
  const std::uint32_t readings = outcome.readings;
  const auto again = reader.read(text, form, sink, outcome);
  CHECK(again.has_value() == result.has_value() && outcome.readings == readings);
  CHECK(sink.builder.row_count() == 2 * std::size_t{outcome.rows});
  sink.builder.seal({});
  return 0;
}
