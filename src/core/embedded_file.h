#pragma once

#include <span>
#include <string_view>

namespace flux {

/// One file inside the program, made by `flux_embed` (cmake/Embed.cmake). All views live as long as the process.
struct EmbeddedFile {
  std::string_view path;          ///< below the folder, with a leading slash: `/assets/index-3f2a.js`
  std::string_view content_type;  ///< `text/javascript; charset=utf-8`
  std::string_view etag;          ///< of the identity form, without quotes
  bool immutable = false;         ///< its name holds a hash of its content: cache it for good
  std::string_view identity;
  std::string_view gzip;    ///< empty where it would not be smaller
  std::string_view brotli;  ///< empty where it would not be smaller
};

/// The file with exactly this path in a table that is sorted by path; nullptr when there is none.
const EmbeddedFile* find_embedded(std::span<const EmbeddedFile> files, std::string_view path);

}  // namespace flux
