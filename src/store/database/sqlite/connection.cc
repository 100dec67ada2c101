#include "store/database/sqlite/connection.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace flux::store::sqlite {

namespace {

/// `FLXG`: tells our files from other programs' SQLite files.
constexpr std::int64_t kApplicationId = 0x464C5847;
constexpr std::size_t kStatementLimit = 512;

class StatementRow final : public Row {
 public:
  explicit StatementRow(sqlite3_stmt* statement) : statement_(statement) {}
  bool is_null(int column) const override { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::int64_t integer(int column) const override { return sqlite3_column_int64(statement_, column); }
  double real(int column) const override { return sqlite3_column_double(statement_, column); }
  std::string_view text(int column) const override {
    const auto* const data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    if (data == nullptr) return {};
    return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }
  std::span<const std::byte> blob(int column) const override {
    const auto* const data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
    if (data == nullptr) return {};
    return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  sqlite3_stmt* statement_;
};

ErrorCode code_of(int extended, int system_error) {
  switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return ErrorCode::already_exists;
    default: break;
  }
  switch (extended & 0xff) {
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN: return ErrorCode::unavailable;
    case SQLITE_IOERR:
      return system_error == ENOSPC || system_error == EDQUOT || system_error == EROFS ? ErrorCode::unavailable
                                                                                       : ErrorCode::io;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::corrupt;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return ErrorCode::invalid_argument;
    case SQLITE_TOOBIG: return ErrorCode::too_large;
    case SQLITE_INTERRUPT: return ErrorCode::cancelled;
    default: return ErrorCode::internal;
  }
}

std::string_view explain(int extended) {
  switch (extended & 0xff) {
    case SQLITE_FULL: return " (free some space, or raise the limit on the database's size)";
    case SQLITE_READONLY: return " (the folder and its files must be writable)";
    case SQLITE_BUSY: return " (another program holds it)";
    case SQLITE_CORRUPT: return " (restore a backup; `sqlite3 FILE .recover` may save what is readable)";
    default: return "";
  }
}

int bind_one(sqlite3_stmt* statement, int index, const Bind& bind) {
  return std::visit(
      [&]<class T>(const T& value) {
        if constexpr (std::same_as<T, std::monostate>) return sqlite3_bind_null(statement, index);
        else if constexpr (std::same_as<T, std::int64_t>) return sqlite3_bind_int64(statement, index, value);
        else if constexpr (std::same_as<T, double>) return sqlite3_bind_double(statement, index, value);
        else if constexpr (std::same_as<T, std::string_view>)
          return sqlite3_bind_text64(statement, index, value.data() != nullptr ? value.data() : "", value.size(),
                                     SQLITE_STATIC, SQLITE_UTF8);
        else
          return value.bytes.empty()
                     ? sqlite3_bind_zeroblob(statement, index, 0)
                     : sqlite3_bind_blob64(statement, index, value.bytes.data(), value.bytes.size(), SQLITE_STATIC);
      },
      bind.held());
}

}  // namespace

struct Connection::Prepared {
  explicit Prepared(sqlite3_stmt* prepared) : statement(prepared) {}
  ~Prepared() { sqlite3_finalize(statement); }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  sqlite3_stmt* statement;
  bool in_use = false;
};

namespace {

template <class Prepared>
class Use {
 public:
  explicit Use(Prepared& prepared) : prepared_(prepared) { prepared_.in_use = true; }
  ~Use() {
    sqlite3_reset(prepared_.statement);
    sqlite3_clear_bindings(prepared_.statement);
    prepared_.in_use = false;
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Prepared& prepared_;
};

}  // namespace

Connection::~Connection() {
  statements_.clear();
  sqlite3_close_v2(handle_);
}

std::unexpected<Error> Connection::failure(int code, std::string_view doing) const {
  const int extended = sqlite3_extended_errcode(handle_);
  const int use = (extended & 0xff) == (code & 0xff) ? extended : code;
  const int system_error = sqlite3_system_errno(handle_);
  std::string message = "database: ";
  message += doing;
  message += ": ";
  message += (extended & 0xff) == (code & 0xff) ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  const bool from_system = (use & 0xff) == SQLITE_IOERR || (use & 0xff) == SQLITE_CANTOPEN;
  if (from_system && system_error != 0) message += ": " + std::generic_category().message(system_error);
  message += explain(use);
  return fail(code_of(use, system_error), std::move(message));
}

Result<std::unique_ptr<Connection>> Connection::open(const Config& config, Access access) {
  const std::string path = config.path.string();
  if (access == Access::read_write) {  // the file holds hashes of credentials: nobody else's to read
    if (const int made = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600); made >= 0) ::close(made);
  }
  sqlite3* handle = nullptr;
  const int flags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | (access == Access::read_write ? SQLITE_OPEN_CREATE : 0);
  const int opened = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  if (handle == nullptr) return fail(ErrorCode::internal, "database: no memory to open " + path);
  std::unique_ptr<Connection> connection(new Connection(handle));
  sqlite3_extended_result_codes(handle, 1);
  if (opened != SQLITE_OK) return connection->failure(opened, "cannot open " + path);
  connection->busy_ms_ = static_cast<int>(config.busy_timeout.millis());
  sqlite3_busy_timeout(handle, connection->busy_ms_);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);

  // The first statement that touches the file says whether it is one of ours.
  const auto application =
      connection->first("PRAGMA application_id", {}, [](const Row& row) { return row.integer(0); });
  if (!application) return fail(application.error().code, application.error().message + " (" + path + ")");
  const auto tables =
      connection->first("SELECT count(*) FROM sqlite_master", {}, [](const Row& row) { return row.integer(0); });
  if (!tables) return fail(tables.error().code, tables.error().message + " (" + path + ")");
  if (**tables > 0 && **application != kApplicationId) {
    return fail(ErrorCode::corrupt, "database: " + path + " is an SQLite file of another program");
  }
  if (access == Access::read_write) {
    if (**tables == 0) {
      DO(connection->script("PRAGMA page_size=4096"));
      DO(connection->script("PRAGMA application_id=" + std::to_string(kApplicationId)));
    }
    TRY(const auto mode,
        connection->first("PRAGMA journal_mode=WAL", {}, [](const Row& row) { return std::string(row.text(0)); }));
    if (mode.value_or("") != "wal") {
      return fail(ErrorCode::unavailable, "database: " + path + " cannot use a write-ahead journal here (mode is " +
                                              mode.value_or("?") + "); network file systems do not carry it");
    }
    DO(connection->script("PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864"));
    if (config.max_size > 0) {
      DO(connection->script("PRAGMA max_page_count=" +
                            std::to_string(std::max<std::uint64_t>(config.max_size / 4096, 1))));
    }
  } else {
    DO(connection->script("PRAGMA query_only=ON"));
  }
  DO(connection->script(
      "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA cache_size=-" +
      std::to_string(std::max<std::uint64_t>(config.cache / 1024, 64))));
  return connection;
}

Result<std::shared_ptr<Connection::Prepared>> Connection::prepare(std::string_view sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end() && !found->second->in_use) return found->second;
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                      &statement, &rest);
  if (code != SQLITE_OK) return failure(code, "cannot prepare a statement");
  CHECK_MSG(statement != nullptr && rest == sql.data() + sql.size(), sql);  // one statement, no more
  auto prepared = std::make_shared<Prepared>(statement);
  if (found != statements_.end()) return prepared;  // the kept one is busy: it runs further out
  if (statements_.size() >= kStatementLimit) statements_.clear();
  statements_.emplace(std::string(sql), prepared);
  return prepared;
}

Result<std::uint64_t> Connection::run(std::string_view sql, std::span<const Bind> binds) {
  DO(each(sql, binds, [](const Row&) -> Result<> { return {}; }));
  return static_cast<std::uint64_t>(sqlite3_changes64(handle_));
}

Result<> Connection::each(std::string_view sql, std::span<const Bind> binds, const OnRow& on_row) {
  TRY(const auto prepared, prepare(sql));
  sqlite3_stmt* const statement = prepared->statement;
  CHECK_MSG(static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) == binds.size(), sql);
  const Use use(*prepared);
  for (std::size_t i = 0; i < binds.size(); ++i) {
    if (const int code = bind_one(statement, static_cast<int>(i) + 1, binds[i]); code != SQLITE_OK) {
      return failure(code, "cannot bind a value");
    }
  }
  const StatementRow row(statement);
  for (;;) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return failure(code, "a statement failed");
    DO(on_row(row));
  }
}

Result<> Connection::script(std::string_view sql) {
  const std::string text(sql);
  const int code = sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(code, "a statement failed");
  return {};
}

bool Connection::fold_journal() {
  sqlite3_busy_timeout(handle_, 0);  // writes would wait behind this
  const int code = sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(handle_, busy_ms_);
  return code == SQLITE_OK;
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

}  // namespace flux::store::sqlite
