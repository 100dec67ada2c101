#pragma once

#include <memory>
#include <string>

#include "bus/bus.h"
#include "core/batch_builder.h"

/// Records for tests of the log.
namespace flux::bus {

inline BatchPtr conformance_batch(double value, std::size_t rows = 1, std::string device = "pump-1") {
  ShapeKey key;
  key.tenant = {1};
  key.device = std::move(device);
  key.fields = {{"value", ValueType::float64}, {"text", ValueType::string}};
  const auto shape = std::make_shared<const Shape>(std::move(key));
  BatchBuilder builder;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto cells = builder.add_row(shape, Time{static_cast<std::int64_t>(i)});
    cells[0] = to_cell(value);
    cells[1] = builder.add_string("text of " + std::to_string(value));
  }
  return builder.seal(Time{7});
}

inline Record conformance_event(std::string text) {
  return {.kind = RecordKind::event, .payload = std::make_shared<const std::string>(std::move(text))};
}

}  // namespace flux::bus
