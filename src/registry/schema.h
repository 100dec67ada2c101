#pragma once

#include <span>

#include "store/database/database.h"

namespace flux::registry {

/// Every step that the registry's tables have taken. Released ones never change.
std::span<const store::Migration> migrations();

}  // namespace flux::registry
