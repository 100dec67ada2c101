#include "bus/embedded/config.h"

#include <algorithm>
#include <string>

namespace flux::bus::embedded {

std::string Config::key_of(Topic topic) {
  std::string key(to_string(topic));
  std::ranges::replace(key, '-', '_');
  return key;
}

Result<> Config::validate() const {
  if (record_bytes > queue_bytes)
    return fail(ErrorCode::invalid_argument,
                "record_bytes is above queue_bytes, so such a record would never be taken");
  return {};
}

}  // namespace flux::bus::embedded
