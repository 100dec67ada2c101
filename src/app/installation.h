#pragma once

#include <filesystem>
#include <string>

#include "core/result.h"
#include "store/database/database.h"

namespace flux::app {

/// Knows whether a data folder's registry is the one that was set up there. An id lies in the database and in the file
/// `INSTALLATION` beside it: where the file or what is kept (`log/`, `series/`) says that there was a registry, a start
/// without it is refused, rather than that a server as new and unclaimed stands on somebody's readings.
class Installation {
 public:
  /// Reads the file. `corrupt` when it is not one of ours.
  static Result<Installation> look(const std::filesystem::path& data, const std::filesystem::path& registry);

  /// Before the database is opened. `corrupt` when it ought to be there and is not, or is empty.
  [[nodiscard]] Result<> check() const;
  /// After it was opened. Gives a new database its id; `corrupt` when it is another installation's. Blocking.
  Result<> recognize(store::Database& database);
  /// Somebody decided to go on without the registry: what is left of it gets other names. The database is closed.
  Result<> set_aside(const Error& why);

 private:
  Installation(std::filesystem::path data, std::filesystem::path registry, std::string id)
      : data_(std::move(data)), registry_(std::move(registry)), id_(std::move(id)) {}
  [[nodiscard]] std::unexpected<Error> lost(const std::string& how) const;

  std::filesystem::path data_;
  std::filesystem::path registry_;
  std::string id_;        // of the file; empty: it was never written
  bool expected_ = true;  // false once somebody gave the registry up
};

}  // namespace flux::app
