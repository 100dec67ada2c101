#include "gateway/unknown_name.h"

#include <vector>

#include "config/nearest.h"

namespace flux::gateway {

std::unexpected<Error> unknown_name(std::string_view what, std::string_view name, std::span<const std::string> known,
                                    std::string_view field) {
  std::string message = "unknown " + std::string(what);
  if (const std::string guess = config::nearest(name, known); !guess.empty())
    message += "; did you mean '" + guess + "'?";
  if (known.empty()) {
    message += ": expected none";
  } else {
    message += message.ends_with('?') ? " Expected " : ": expected ";
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (i != 0) message += i + 1 == known.size() ? " or " : ", ";
      message += known[i];
    }
  }
  return fail(ErrorCode::invalid_argument, std::move(message), std::string(field.substr(0, 256)));
}

std::unexpected<Error> unknown_name(std::string_view what, std::string_view name,
                                    std::initializer_list<std::string_view> known, std::string_view field) {
  const std::vector<std::string> names(known.begin(), known.end());
  return unknown_name(what, name, names, field);
}

}  // namespace flux::gateway
