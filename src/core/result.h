#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace flux {

/// What kind of failure it is: callers branch on this, people read the message.
/// HTTP has one status for each (`net::status_of`), MQTT one reason code (`reason_of` in ingest/mqtt/session.cc).
enum class ErrorCode : std::uint8_t {
  invalid_argument,   ///< the caller's input is wrong; the message names the field or byte      (400)
  unauthenticated,    ///< no credential, or one that is not known                               (401)
  permission_denied,  ///< a known identity that may not do this                                 (403)
  not_found,          ///<                                                                       (404)
  already_exists,     ///< also: a version that is no longer current                             (409)
  too_large,          ///< a size limit was passed; the message names the limit                  (413)
  exhausted,          ///< a queue, quota or rate is full: nothing was done, try again later     (429)
  unavailable,        ///< a needed part cannot serve now (disk full, draining); try again later (503)
  timed_out,          ///<                                                                       (504)
  cancelled,          ///< the caller went away
  corrupt,            ///< stored bytes do not say what they should                              (500)
  io,                 ///< the operating system refused; the message holds errno's text          (500)
  internal,           ///< a bug of ours that we survived                                        (500)
};

/// The snake_case word for `code`, as used in API answers and metric labels.
std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  ///< a sentence for the person who can mend it: what, where, what was expected
  std::string field;    ///< path of the offending input field (`readings[3].time`), empty where none applies

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string field = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(field)});
}

/// `io` (or `unavailable` for ENOSPC/EDQUOT/EROFS) with errno's text: "cannot open data/x: No such file or directory".
[[nodiscard]] std::unexpected<Error> fail_errno(std::string what, int error_number);

/// Stops the process with a message: an invariant of ours is broken and going on could damage data.
[[noreturn]] void check_failed(const char* expression, const char* file, int line, std::string_view detail);

}  // namespace flux

#define FLUX_CONCAT_INNER(a, b) a##b
#define FLUX_CONCAT(a, b) FLUX_CONCAT_INNER(a, b)

/// `TRY(auto names, directory.list());` binds the value or returns the error to the caller.
#define TRY(declaration, expression)                                               \
  auto FLUX_CONCAT(try_result_, __LINE__) = (expression);                          \
  if (!FLUX_CONCAT(try_result_, __LINE__)) [[unlikely]]                            \
    return std::unexpected(std::move(FLUX_CONCAT(try_result_, __LINE__)).error()); \
  declaration = *std::move(FLUX_CONCAT(try_result_, __LINE__))

/// `DO(file.sync());` for a `Result<>` without a value.
#define DO(expression)                                            \
  do {                                                            \
    if (auto do_result_ = (expression); !do_result_) [[unlikely]] \
      return std::unexpected(std::move(do_result_).error());      \
  } while (false)

#define CHECK(condition) \
  (static_cast<bool>(condition) ? void() : ::flux::check_failed(#condition, __FILE__, __LINE__, {}))
#define CHECK_MSG(condition, detail) \
  (static_cast<bool>(condition) ? void() : ::flux::check_failed(#condition, __FILE__, __LINE__, (detail)))
