#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/value.h"
#include "store/series/engine/text.h"

/// Blocks: up to `kMaxBlockValues` times or values, coded on their own. Each begins with the id of its coding, so that
/// files written with future codings stay readable side by side with today's.
namespace flux::store::engine {

inline constexpr std::size_t kMaxBlockValues = 4096;
/// A block of strings is cut where its text passes this (one longer string stands alone).
inline constexpr std::size_t kMaxBlockText = 1024 * 1024;

/// Ascending times, each once.
void encode_times(std::span<const std::int64_t> times, std::string& out);
/// False when the bytes are damaged, which includes times that do not ascend.
bool decode_times(std::string_view in, std::size_t count, std::int64_t* out);

/// String cells are engine cells (text.h).
void encode_values(ValueType type, std::span<const Cell> cells, std::string& out);
/// Strings go to `arena`. False when the bytes are damaged.
bool decode_values(std::string_view in, ValueType type, std::size_t count, Cell* out, TextArena& arena);

/// The name of a block's coding, such as `decimal zigzag, entropy`; `damaged` where it has none.
std::string describe_block(std::string_view in);

}  // namespace flux::store::engine
