#pragma once

#include <span>

#include "store/database/database.h"

namespace flux::control {

/// Every step that this room's tables have taken. Released ones never change.
std::span<const store::Migration> migrations();

}  // namespace flux::control
