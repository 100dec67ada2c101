#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/result.h"

namespace flux::app {

/// What a look at the disk of the data folder found.
struct DiskLook {
  std::uint64_t free_bytes = 0;
  std::string trouble;  ///< for everybody: no path in it; empty: all is well
  std::string detail;   ///< the same with path and numbers
  bool writable = true;
};

/// Looks whether the data folder can be written, so that a trouble is known before a reading is refused for it and its
/// end before the next reading comes.
class DiskWatch {
 public:
  /// The log takes nothing when less than `reserve` is free (or 2 % of a small disk); below twice that it is said.
  DiskWatch(std::filesystem::path folder, std::uint64_t reserve) : folder_(std::move(folder)), reserve_(reserve) {}

  /// Blocks: for a worker. With `write`, a file that nobody sees is written as well.
  [[nodiscard]] DiskLook look(bool write) const;

 private:
  [[nodiscard]] Result<> write_something() const;

  std::filesystem::path folder_;
  std::uint64_t reserve_;
};

}  // namespace flux::app
