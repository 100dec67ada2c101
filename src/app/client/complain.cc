#include "app/client/complain.h"

#include <cstdio>

namespace flux::app {

int complain_about(const Error& error) {
  std::fprintf(stderr, "fluxgate: %s%s\n", error.field.empty() ? "" : (error.field + ": ").c_str(),
               error.message.c_str());
  return error.code == ErrorCode::invalid_argument ? 2 : 1;
}

}  // namespace flux::app
