#pragma once

#include <filesystem>
#include <map>
#include <vector>

#include "core/ids.h"
#include "store/series/engine/file_system.h"
#include "store/series/engine/part_format.h"
#include "store/series/engine/version.h"

namespace flux::store::engine {

/// The one file that says what the store is made of: replaced as a whole, so that readings and the offsets that cover
/// them always change together. Drawn in docs/formats/manifest.md.
struct Manifest {
  std::uint64_t generation = 0;  ///< counts the replacements
  std::uint64_t next_part = 1;
  std::uint64_t flushed = 0;  ///< number of the newest flush
  std::map<PartitionId, Offset> resume;
  std::vector<PartMeta> parts;
  std::vector<Tombstone> tombstones;
};

std::string encode(const Manifest& manifest);
/// `corrupt` for anything that `encode` did not write.
Result<Manifest> decode_manifest(std::string_view bytes);

inline constexpr std::string_view kManifestName = "MANIFEST";

}  // namespace flux::store::engine
