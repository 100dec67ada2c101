#pragma once

#include <filesystem>
#include <memory>

#include "bus/bus.h"
#include "bus/embedded/config.h"
#include "bus/embedded/file_system.h"
#include "core/result.h"
#include "observe/metrics.h"

/// The log on files of its own (docs/formats/log.md): `<folder>/<topic>/<partition>/<first offset>.seg`.
namespace flux::bus::embedded {

/// Opens the log in `folder`, which is made where it is missing, and recovers it: what a crash left unfinished at the
/// very end is cut; nothing that was acknowledged is.
///
/// `already_exists`: another process holds the folder (the message names its pid). `corrupt`: a file that cannot be
/// read at all. `io`, `unavailable`: the folder cannot be read or written.
///
/// The bus's threads run until it is destroyed, which completes what was published before. `metrics` and `files` must
/// outlive it.
Result<std::unique_ptr<Bus>> open(const std::filesystem::path& folder, const Config& config, metrics::Registry& metrics,
                                  FileSystem& files = real_files());

}  // namespace flux::bus::embedded
