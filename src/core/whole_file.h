#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/result.h"

namespace flux {

/// Replaces the file by `content`, durably: a reader, and the next start after a crash, sees the old one or the new one
/// and never a part. `mode` as for chmod. Blocking.
Result<> write_file(const std::filesystem::path& path, std::string_view content, unsigned mode);

/// The file's content; empty when it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace flux
