#include "store/series/memory/memory_store.h"

#include "store/series/series_store_conformance.h"

namespace flux::store {
namespace {

struct MemoryHarness {
  TimeSeriesStore& store() { return *held; }
  void settle() {}
  std::unique_ptr<TimeSeriesStore> held = memory::make_store();
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, SeriesStoreConformance, MemoryHarness);

}  // namespace
}  // namespace flux::store
