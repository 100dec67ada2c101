#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <boost/unordered/unordered_flat_map.hpp>

#include "core/hash.h"
#include "core/result.h"
#include "store/database/database.h"
#include "store/database/sqlite/sqlite_database.h"

struct sqlite3;
struct sqlite3_stmt;

namespace flux::store::sqlite {

/// One SQLite connection with its prepared statements. One thread at a time.
class Connection final : public Session {
 public:
  enum class Access { read_write, read_only };

  static Result<std::unique_ptr<Connection>> open(const Config& config, Access access);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  using Session::each;
  using Session::run;
  Result<std::uint64_t> run(std::string_view sql, std::span<const Bind> binds) override;
  Result<> each(std::string_view sql, std::span<const Bind> binds, const OnRow& on_row) override;

  /// Any number of statements without binds or rows: schema and transactions.
  Result<> script(std::string_view sql);
  /// Writes the journal's content into the file, durably, and empties it. False when a reader is in the way or the disk
  /// refuses: nothing is lost, it stays in the journal. Outside of a transaction.
  bool fold_journal();
  /// A transaction is open. SQLite ends one by itself after some failures, such as a full disk.
  [[nodiscard]] bool in_transaction() const;

 private:
  struct Prepared;
  explicit Connection(sqlite3* handle) : handle_(handle) {}
  Result<std::shared_ptr<Prepared>> prepare(std::string_view sql);
  std::unexpected<Error> failure(int code, std::string_view doing) const;

  sqlite3* handle_;
  int busy_ms_ = 0;
  boost::unordered_flat_map<std::string, std::shared_ptr<Prepared>, StringHash, std::equal_to<>> statements_;
};

}  // namespace flux::store::sqlite
