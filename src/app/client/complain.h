#pragma once

#include "core/result.h"

namespace flux::app {

/// Says on stderr what went wrong, and gives the exit code: 2 when what was asked for is wrong, else 1.
int complain_about(const Error& error);

}  // namespace flux::app
