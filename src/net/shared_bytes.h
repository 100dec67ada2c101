#pragma once

#include <memory>
#include <string>

namespace flux::net {

/// Bytes that nobody changes any more and many connections may be sending.
using SharedBytes = std::shared_ptr<const std::string>;

}  // namespace flux::net
