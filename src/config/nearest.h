#pragma once

#include <span>
#include <string>
#include <string_view>

namespace flux::config {

/// How many single-letter edits (insert, remove, replace, swap of neighbours) turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The entry of `known` that was most likely meant by `word`: few edits away, or the same last part after a dot.
/// Empty when nothing is near.
std::string nearest(std::string_view word, std::span<const std::string> known);

}  // namespace flux::config
