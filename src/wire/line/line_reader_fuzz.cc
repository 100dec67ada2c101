#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/result.h"
#include "wire/line/reference.h"
#include "wire/line/testing.h"

/// Whatever arrives, the reader stores what a plain reader stores, with the same complaints, and does so again when
/// everything is known. The first byte chooses the precision.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flux::wire::line;
  if (size == 0) return 0;
  const auto precision = static_cast<Precision>(data[0] % 6);
  const testing::Body body({reinterpret_cast<const char*>(data) + 1, size - 1});
  LineReader reader;
  SeriesCache cache(16);
  testing::FakeSink sink;
  testing::Reference reference;
  Outcome outcome;
  for (int round = 0; round < 2; ++round) {
    reader.read(body.view(), precision, cache, sink, outcome);
    reference.rows.clear();
    reference.bad.clear();
    reference.read(body.view(), precision);
    CHECK(sink.builder.reading_count() == outcome.readings);
    auto rows = sink.rows();
    CHECK(rows.size() == outcome.rows);
    if (body.view().find("forbidden") != std::string_view::npos) continue;
    std::ranges::sort(rows);
    std::ranges::sort(reference.rows);
    CHECK(rows == reference.rows);
    CHECK(outcome.refused - outcome.dropped == reference.bad.size());
    std::size_t next = 0;
    for (const auto& refusal : outcome.refusals) {
      if (refusal.dropped) continue;
      CHECK(reference.bad[next++] ==
            std::to_string(refusal.line) + ":" + std::to_string(refusal.column) + " " + refusal.error.message);
    }
  }
  return 0;
}
