#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/result.h"
#include "core/time.h"
#include "runtime/async.h"
#include "runtime/completion.h"

/// The port to a relational database: devices, users, dashboards and everything else that people make. SQLite lies in
/// `sqlite/`.
namespace flux::store {

/// A value for a `?` of a statement. Views live until the call returns.
class Bind {
 public:
  struct Blob {
    std::span<const std::byte> bytes;
  };
  using Held = std::variant<std::monostate, std::int64_t, double, std::string_view, Blob>;

  Bind(std::nullptr_t) {}           // NOLINT(google-explicit-constructor)
  Bind(Blob blob) : held_(blob) {}  // NOLINT(google-explicit-constructor)
  template <class T>
  Bind(const T& value) {  // NOLINT(google-explicit-constructor)
    if constexpr (std::same_as<T, bool>) held_ = std::int64_t{value ? 1 : 0};
    else if constexpr (std::integral<T>) held_ = static_cast<std::int64_t>(value);
    else if constexpr (std::is_enum_v<T>) held_ = static_cast<std::int64_t>(value);
    else if constexpr (std::floating_point<T>) held_ = static_cast<double>(value);
    else if constexpr (std::same_as<T, Time>) held_ = value.ns;
    else if constexpr (requires {
                         value.has_value();
                         *value;
                       }) {
      if (value.has_value()) held_ = Bind(*value).held_;
    } else {
      held_ = std::string_view(value);
    }
  }
  [[nodiscard]] const Held& held() const { return held_; }

 private:
  Held held_;
};

/// One row of an answer, valid inside the callback that got it. Columns count from 0. A column of another type is
/// converted the way the database does.
class Row {
 public:
  virtual ~Row() = default;
  [[nodiscard]] virtual bool is_null(int column) const = 0;
  [[nodiscard]] virtual std::int64_t integer(int column) const = 0;
  [[nodiscard]] virtual double real(int column) const = 0;
  [[nodiscard]] virtual std::string_view text(int column) const = 0;
  [[nodiscard]] virtual std::span<const std::byte> blob(int column) const = 0;

  [[nodiscard]] bool boolean(int column) const { return integer(column) != 0; }
  [[nodiscard]] Time time(int column) const { return {integer(column)}; }
  [[nodiscard]] std::optional<std::string> optional_text(int column) const {
    if (is_null(column)) return std::nullopt;
    return std::string(text(column));
  }
  [[nodiscard]] std::optional<Time> optional_time(int column) const {
    if (is_null(column)) return std::nullopt;
    return time(column);
  }
};

/// Statements inside one transaction, on the thread that runs it. Statements are prepared once per connection and found
/// by their text, so the text is a constant. SQL keeps to what SQLite and PostgreSQL share.
class Session {
 public:
  using OnRow = std::function<Result<>(const Row&)>;

  virtual ~Session() = default;
  /// Runs one statement; returns how many rows it changed. `already_exists` when a unique key is taken,
  /// `invalid_argument` for another constraint.
  virtual Result<std::uint64_t> run(std::string_view sql, std::span<const Bind> binds) = 0;
  /// Calls `on_row` for each row; an error it returns ends the query and is returned.
  virtual Result<> each(std::string_view sql, std::span<const Bind> binds, const OnRow& on_row) = 0;

  Result<std::uint64_t> run(std::string_view sql, std::initializer_list<Bind> binds = {}) {
    return run(sql, std::span(binds.begin(), binds.size()));
  }
  Result<> each(std::string_view sql, std::initializer_list<Bind> binds, const OnRow& on_row) {
    return each(sql, std::span(binds.begin(), binds.size()), on_row);
  }
  /// What `read(row)` made of the first row; nothing when there is none.
  template <class Read>
  auto first(std::string_view sql, std::initializer_list<Bind> binds, Read read)
      -> Result<std::optional<std::invoke_result_t<Read&, const Row&>>> {
    std::optional<std::invoke_result_t<Read&, const Row&>> found;
    DO(each(sql, binds, [&](const Row& row) -> Result<> {
      if (!found) found.emplace(read(row));
      return {};
    }));
    return found;
  }
};

/// One step of a schema. A released one never changes: its checksum is kept in the database.
struct Migration {
  int number = 1;         ///< 1, 2, … within its room
  std::string_view name;  ///< `devices`
  std::string_view sql;   ///< any number of statements
};

/// Transactions for everybody. Writes run one after the other on one thread, and several that wait share one commit;
/// reads see one committed state each and run beside them. Any thread.
///
/// A failed write has changed nothing. `unavailable`: the disk is full or cannot be written, or another program holds
/// the database. `exhausted`: too many wait already. `corrupt`: the file is damaged.
class Database {
 public:
  using Work = std::move_only_function<Result<>(Session&)>;
  using Done = std::move_only_function<void(Result<>)>;

  virtual ~Database() = default;

  /// Brings the tables of one room to the newest schema, all steps in one transaction. Blocking; at start.
  /// `unavailable` when the schema is newer than this program, `corrupt` when a step that was applied reads otherwise.
  virtual Result<> migrate(std::string_view room, std::span<const Migration> migrations) = 0;

  /// Runs `work` in a transaction that commits durably when it succeeds; then `done`, on the writing thread. `done` of
  /// writes come in the order of their commits, so that memory may follow the database there. When nothing was taken
  /// (`exhausted`), `done` is called at once on the calling thread. `done` must not call `write` or `read`.
  virtual void submit_write(Work work, Done done) = 0;
  /// Runs `work` on a reading thread against the newest committed state, then `done` there.
  virtual void submit_read(Work work, Done done) = 0;

  /// Brings what was committed to where it stays, so that it no longer hangs on a journal. Blocking; at start.
  /// `unavailable` when it cannot be done now: then nothing is lost, and it happens later by itself.
  virtual Result<> fold() = 0;

  /// Bytes on disk, journal included.
  [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;

  /// Blocking: for start, commands, tests, workers. Never on a shard.
  Result<> write(Work work);
  Result<> read(Work work);

  /// `work(session)` returns `Result<T>`; resumes on the calling shard.
  ///
  ///   auto work = [id](Session& session) -> Result<Name> { … };
  ///   CO_TRY(auto name, co_await database.read_async<Name>(std::move(work)));
  template <class T, class TypedWork>
  Async<T> write_async(TypedWork work) {
    return transact<T>(*this, &Database::submit_write, std::move(work));
  }
  template <class T, class TypedWork>
  Async<T> read_async(TypedWork work) {
    return transact<T>(*this, &Database::submit_read, std::move(work));
  }

 private:
  template <class T, class TypedWork>
  static Async<T> transact(Database& database, void (Database::*submit)(Work, Done), TypedWork work) {
    runtime::Completion<T> completion;
    Work run;
    Done done;
    if constexpr (std::is_void_v<T>) {
      run = std::move(work);
      done = [completion](Result<> result) { completion.resolve(std::move(result)); };
    } else {
      const auto value = std::make_shared<std::optional<T>>();
      run = [value, inner = std::move(work)](Session& session) mutable -> Result<> {
        Result<T> made = inner(session);
        if (!made) return std::unexpected(std::move(made).error());
        value->emplace(std::move(*made));
        return {};
      };
      done = [value, completion](Result<> result) {
        if (!result) completion.resolve(std::unexpected(std::move(result).error()));
        else completion.resolve(std::move(**value));
      };
    }
    (database.*submit)(std::move(run), std::move(done));
    co_return co_await completion;
  }
};

}  // namespace flux::store
