#include "store/series/series_store.h"

namespace flux::store {

std::string_view to_string(Aggregate aggregate) {
  switch (aggregate) {
    case Aggregate::count: return "count";
    case Aggregate::sum: return "sum";
    case Aggregate::min: return "min";
    case Aggregate::max: return "max";
    case Aggregate::mean: return "mean";
    case Aggregate::first: return "first";
    case Aggregate::last: return "last";
  }
  return "?";
}

}  // namespace flux::store
