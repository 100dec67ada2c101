#include "core/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace flux {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::unauthenticated: return "unauthenticated";
    case ErrorCode::permission_denied: return "permission_denied";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::already_exists: return "already_exists";
    case ErrorCode::too_large: return "too_large";
    case ErrorCode::exhausted: return "exhausted";
    case ErrorCode::unavailable: return "unavailable";
    case ErrorCode::timed_out: return "timed_out";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::corrupt: return "corrupt";
    case ErrorCode::io: return "io";
    case ErrorCode::internal: return "internal";
  }
  return "internal";
}

std::unexpected<Error> fail_errno(std::string what, int error_number) {
  const bool no_room = error_number == ENOSPC || error_number == EDQUOT || error_number == EROFS;
  what += ": ";
  what += std::generic_category().message(error_number);
  return fail(no_room ? ErrorCode::unavailable : ErrorCode::io, std::move(what));
}

void check_failed(const char* expression, const char* file, int line, std::string_view detail) {
  std::fprintf(stderr, "fluxgate: broken invariant at %s:%d: %s%s%.*s\n", file, line, expression,
               detail.empty() ? "" : ": ", static_cast<int>(detail.size()), detail.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace flux
