#pragma once

#include <memory>

#include "store/series/series_store.h"

namespace flux::store::memory {

/// A store of plain maps, for tests: the model that the engine is compared with, and a stand-in where a test of
/// another room needs a store. Thread-safe behind one lock; keeps nothing when it is destroyed.
/// `resume_from` passes what was appended when `flush` is called.
std::unique_ptr<TimeSeriesStore> make_store();

}  // namespace flux::store::memory
