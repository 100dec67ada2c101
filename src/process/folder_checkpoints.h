#pragma once

#include <filesystem>
#include <memory>

#include "process/checkpoints.h"

namespace flux::process {

/// Checkpoints in a folder, one subfolder per partition:
///
/// ```
/// 0003/lock                              held while a file of the folder is replaced
/// 0003/generation                        "7 1b2c3d4e\n": the number, and the CRC-32C of its digits
/// 0003/00000000000000008120.checkpoint
///   0   8  "FLUXCKPT"
///   8   4  format, 1                 little endian, as all that follows
///   12  4  partition
///   16  8  generation
///   24  8  next offset
///   32  8  length of data
///   40  …  data
///   …   4  CRC-32C of everything before
/// ```
///
/// `io` or `unavailable` when the folder cannot be made or written.
Result<std::unique_ptr<Checkpoints>> open_folder_checkpoints(const std::filesystem::path& folder);

}  // namespace flux::process
