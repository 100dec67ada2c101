#include "process/processed_sink.h"

#include "wire/processed/processed_codec.h"

namespace flux::process {

void ProcessedSink::collect(const Outputs& outputs) {
  if (!outputs.readings.batch) return;
  std::uint32_t ordinal = 0;
  for (std::string& part : wire::processed::encode_parts(outputs.readings))
    add(outputs.position, ordinal++, bus::RecordKind::processed, std::make_shared<const std::string>(std::move(part)));
}

}  // namespace flux::process
