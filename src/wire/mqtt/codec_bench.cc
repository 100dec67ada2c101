#include <benchmark/benchmark.h>

#include "wire/mqtt/decode.h"
#include "wire/mqtt/encode.h"

namespace flux::wire::mqtt {
namespace {

void publish_and_puback(benchmark::State& state, Version version) {
  std::string input;
  const std::string payload = R"({"temperature":21.5})";
  for (std::uint16_t id = 1; id <= 100; ++id) {
    encode(Publish{.qos = 1,
                   .topic = "v1/devices/pump-1/telemetry",
                   .packet_id = id,
                   .payload = std::as_bytes(std::span(payload))},
           version, {}, input);
  }
  Properties properties;
  std::string out;
  for (auto _ : state) {
    out.clear();
    for (Bytes rest = std::as_bytes(std::span(input)); !rest.empty();) {
      const auto frame = read_frame(rest, 1 << 20);
      const auto publish = decode_publish(**frame, version, properties);
      encode_puback(publish->packet_id, out);
      benchmark::DoNotOptimize(publish->payload.data());
      rest = rest.subspan((*frame)->size);
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * 100);
}
BENCHMARK_CAPTURE(publish_and_puback, v3_1_1, Version::v3_1_1);
BENCHMARK_CAPTURE(publish_and_puback, v5, Version::v5);

}  // namespace
}  // namespace flux::wire::mqtt
