#include "control/command.h"

#include <array>

namespace flux::control {

namespace {
constexpr std::array<std::string_view, kStateCount> kStates{"queued", "sent",    "delivered", "succeeded",
                                                            "failed", "expired", "cancelled"};
}

std::string_view to_string(State state) { return kStates[static_cast<std::size_t>(state) - 1]; }

std::optional<State> state_from(std::string_view text) {
  for (std::size_t i = 0; i < kStates.size(); ++i)
    if (kStates[i] == text) return static_cast<State>(i + 1);
  return std::nullopt;
}

}  // namespace flux::control
