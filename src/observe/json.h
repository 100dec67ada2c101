#pragma once

#include <string>
#include <string_view>

namespace flux::observe {

/// Appends `text` as a JSON string with its quotes; what steers a terminal is escaped (observe/printable.h). Bytes that
/// are no valid UTF-8 become U+FFFD, so that a line stays readable whatever a device sent.
void append_json_string(std::string& out, std::string_view text);

/// Appends the shortest text that reads back as `value`; `null` for what JSON cannot say (NaN, infinities).
void append_json_number(std::string& out, double value);

}  // namespace flux::observe
