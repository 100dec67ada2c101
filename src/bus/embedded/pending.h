#pragma once

#include <cstddef>

#include "bus/bus.h"

namespace flux::bus::embedded {

/// A record on its way to the disk.
struct Pending {
  Record record;
  Published done;
  std::size_t bytes = 0;  ///< about what it takes, for the queue's limit
};

}  // namespace flux::bus::embedded
