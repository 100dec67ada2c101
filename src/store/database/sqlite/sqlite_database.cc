#include "store/database/sqlite/sqlite_database.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <filesystem>
#include <future>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/hash.h"
#include "observe/log.h"
#include "store/database/sqlite/connection.h"
#include "store/database/sqlite/journal_check.h"

namespace flux::store::sqlite {

namespace {

/// Writes that wait share a commit, and so an fsync; more than this would keep the first of them waiting.
constexpr std::size_t kGroupLimit = 256;
/// So long after the last commit the journal is folded into the file.
constexpr Duration kQuiet = 1_s;
/// Up to this size the whole file is checked at every start: some tens of milliseconds.
constexpr std::uint64_t kSmall = 32_MiB;

struct Metrics {
  explicit Metrics(metrics::Registry& registry)
      : transactions(registry.counter("fluxgate_database_transactions_total", "Transactions that changed something.")),
        commits(registry.counter("fluxgate_database_commits_total", "Commits; several transactions may share one.")),
        failures(registry.counter("fluxgate_database_failures_total", "Transactions that failed and were undone.")),
        reads(registry.counter("fluxgate_database_reads_total", "Transactions that only read.")),
        commit_time(registry.histogram("fluxgate_database_commit_seconds", "From begin to durable, per commit.",
                                       metrics::Buckets::seconds())) {}
  metrics::Counter& transactions;
  metrics::Counter& commits;
  metrics::Counter& failures;
  metrics::Counter& reads;
  metrics::Histogram& commit_time;
};

struct Job {
  Database::Work work;
  Database::Done done;
};

/// A bounded queue of jobs; `take` ends with nothing once it is closed and empty.
class Queue {
 public:
  explicit Queue(std::size_t limit) : limit_(limit) {}

  bool push(Job& job) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || jobs_.size() >= limit_) return false;
      jobs_.push_back(std::move(job));
    }
    ready_.notify_one();
    return true;
  }

  std::vector<Job> take(std::size_t at_most) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return closed_ || !jobs_.empty(); });
    return take_held(at_most);
  }

  /// The same, but nothing when none came for so long (`idle` turns true).
  std::vector<Job> take(std::size_t at_most, Duration patience, bool& idle) {
    std::unique_lock lock(mutex_);
    idle = !ready_.wait_for(lock, std::chrono::nanoseconds(patience.ns), [&] { return closed_ || !jobs_.empty(); });
    return take_held(at_most);
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

 private:
  std::vector<Job> take_held(std::size_t at_most) {
    std::vector<Job> taken;
    while (!jobs_.empty() && taken.size() < at_most) {
      taken.push_back(std::move(jobs_.front()));
      jobs_.pop_front();
    }
    return taken;
  }

  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Job> jobs_;
  bool closed_ = false;
};

Result<> guarded(Database::Work& work, Session& session) {
  try {
    return work(session);
  } catch (const std::exception& e) {
    return fail(ErrorCode::internal, std::string("database: ") + e.what());
  }
}

std::string checksum_of(std::string_view sql) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash64(sql)));
  return text.data();
}

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(Config config, metrics::Registry& registry, std::unique_ptr<Connection> writer,
                 std::vector<std::unique_ptr<Connection>> readers)
      : config_(std::move(config)),
        metrics_(registry),
        writes_(config_.queue),
        reads_(config_.queue),
        writer_(std::move(writer)),
        readers_(std::move(readers)) {
    threads_.emplace_back([this] { write_loop(); });
    for (auto& reader : readers_) {
      threads_.emplace_back([this, &connection = *reader] { read_loop(connection); });
    }
  }

  ~SqliteDatabase() override {
    writes_.close();
    reads_.close();
    for (auto& thread : threads_) thread.join();
    readers_.clear();
    writer_.reset();  // last: closing it folds the journal into the file
  }

  Result<> migrate(std::string_view room, std::span<const Migration> migrations) override;

  Result<> fold() override {
    // On the writing thread, outside of a transaction: `done` runs there, after the commit.
    std::promise<bool> folded;
    submit_write([](Session&) -> Result<> { return {}; },
                 [&](Result<> result) { folded.set_value(result && writer_->fold_journal()); });
    if (folded.get_future().get()) return {};
    return fail(ErrorCode::unavailable, "database: the journal could not be folded into " + config_.path.string());
  }

  void submit_write(Work work, Done done) override { submit(writes_, std::move(work), std::move(done)); }
  void submit_read(Work work, Done done) override { submit(reads_, std::move(work), std::move(done)); }

  std::uint64_t size_bytes() const override {
    std::uint64_t total = 0;
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::error_code error;
      const auto size = std::filesystem::file_size(config_.path.string() + suffix, error);
      if (!error) total += size;
    }
    return total;
  }

 private:
  static void submit(Queue& queue, Work work, Done done) {
    Job job{std::move(work), std::move(done)};
    if (!queue.push(job)) {
      job.done(fail(ErrorCode::exhausted, "the database has too much to do; try again in a moment"));
    }
  }

  void write_loop() {
    bool unfolded = false;  // commits lie in the journal only
    for (;;) {
      bool idle = false;
      auto group = unfolded ? writes_.take(kGroupLimit, kQuiet, idle) : writes_.take(kGroupLimit);
      if (idle) {
        // What people set up lies in the file itself soon after, however little it is: a journal that gets lost then
        // takes nothing with it. When a reader holds it, the next pause will do.
        unfolded = !writer_->fold_journal();
        continue;
      }
      if (group.empty()) return;
      unfolded = true;
      std::span<Job> rest(group);
      while (!rest.empty()) rest = rest.subspan(write_group(rest));
    }
  }

  /// Runs jobs in one transaction; returns how many are settled: fewer than given when the transaction was lost midway.
  std::size_t write_group(std::span<Job> jobs) {
    const Duration begun = monotonic_now();
    std::vector<Result<>> results;
    results.reserve(jobs.size());
    Result<> whole = writer_->script("BEGIN IMMEDIATE");
    if (!whole) {
      results.assign(jobs.size(), whole);
    } else {
      for (Job& job : jobs) {
        results.push_back(run_one(job));
        if (writer_->in_transaction()) continue;
        whole = results.back().has_value() ? fail(ErrorCode::internal, "database: the transaction ended by itself")
                                           : results.back();
        break;
      }
      if (whole) whole = commit();
      if (!whole) {  // nobody's changes stay
        for (auto& result : results) {
          if (result) result = whole;
        }
      }
    }
    metrics_.commit_time.observe(monotonic_now() - begun);
    if (whole) metrics_.commits.add();
    for (std::size_t i = 0; i < results.size(); ++i) {
      (results[i] ? metrics_.transactions : metrics_.failures).add();
      finish(jobs[i], std::move(results[i]));
    }
    return results.size();
  }

  Result<> run_one(Job& job) {
    DO(writer_->script("SAVEPOINT job"));
    Result<> result = guarded(job.work, *writer_);
    if (!writer_->in_transaction()) return result;
    if (!result) DO(writer_->script("ROLLBACK TO job"));
    if (auto released = writer_->script("RELEASE job"); !released && result) return released;
    return result;
  }

  Result<> commit() {
    Result<> committed = writer_->script("COMMIT");
    if (!committed && writer_->in_transaction()) {
      if (auto undone = writer_->script("ROLLBACK"); !undone) {
        log::error("the database could not undo a failed transaction", {{"error", undone.error()}});
      }
    }
    return committed;
  }

  void read_loop(Connection& connection) {
    for (;;) {
      auto jobs = reads_.take(1);
      if (jobs.empty()) return;
      Job& job = jobs.front();
      Result<> result = connection.script("BEGIN");
      if (result) {
        result = guarded(job.work, connection);
        if (connection.in_transaction()) {
          if (auto ended = connection.script("COMMIT"); !ended && result) result = std::move(ended);
        }
      }
      metrics_.reads.add();
      finish(job, std::move(result));
    }
  }

  static void finish(Job& job, Result<> result) {
    job.work = nullptr;  // what it captured goes before its owner hears of the end
    job.done(std::move(result));
    job.done = nullptr;
  }

  const Config config_;
  Metrics metrics_;
  Queue writes_;
  Queue reads_;
  std::unique_ptr<Connection> writer_;
  std::vector<std::unique_ptr<Connection>> readers_;
  std::vector<std::thread> threads_;
};

struct Applied {
  int number = 0;
  std::string checksum;
};

Result<> SqliteDatabase::migrate(std::string_view room, std::span<const Migration> migrations) {
  return write([&](Session& session) -> Result<> {
    std::vector<Applied> applied;
    DO(session.each("SELECT number, checksum FROM schema_migrations WHERE room = ? ORDER BY number", {room},
                    [&](const Row& row) -> Result<> {
                      applied.push_back({static_cast<int>(row.integer(0)), std::string(row.text(1))});
                      return {};
                    }));
    const std::string schema = "the schema of `" + std::string(room) + "` in " + config_.path.string();
    if (applied.size() > migrations.size()) {
      return fail(ErrorCode::unavailable, schema + " is version " + std::to_string(applied.back().number) +
                                              ", newer than this program, which knows up to version " +
                                              std::to_string(migrations.size()) +
                                              ": start the version that wrote it, or restore an older backup");
    }
    for (std::size_t i = 0; i < migrations.size(); ++i) {
      const Migration& migration = migrations[i];
      CHECK(migration.number == static_cast<int>(i) + 1);
      const std::string checksum = checksum_of(migration.sql);
      if (i < applied.size()) {
        if (applied[i].number != migration.number || applied[i].checksum != checksum) {
          return fail(ErrorCode::corrupt, schema + ": step " + std::to_string(applied[i].number) + " (" +
                                              std::string(migration.name) + ") is not the one that this program knows");
        }
        continue;
      }
      DO(writer_->script(migration.sql));
      DO(session.run("INSERT INTO schema_migrations (room, number, name, checksum, applied_at) VALUES (?, ?, ?, ?, ?)",
                     {room, migration.number, migration.name, checksum, wall_now()}));
    }
    return {};
  });
}

Result<> check_file(Connection& connection, const std::filesystem::path& path) {
  TRY(const auto verdict,
      connection.first("PRAGMA quick_check(1)", {}, [](const Row& row) { return std::string(row.text(0)); }));
  if (verdict.value_or("ok") != "ok")
    return fail(ErrorCode::corrupt, "database: " + path.string() + " is damaged: " + *verdict +
                                        " (restore a backup; `sqlite3 FILE .recover` may save what is readable)");
  return {};
}

}  // namespace

Result<std::unique_ptr<Database>> open(const Config& config, metrics::Registry& metrics) {
  DO(check_journal(config.path));
  TRY(auto writer, Connection::open(config, Connection::Access::read_write));
  std::error_code unknown;
  const std::uint64_t size = std::filesystem::file_size(config.path, unknown);
  if (config.check_at_start || (!unknown && size <= kSmall)) DO(check_file(*writer, config.path));
  DO(writer->script(R"(
    CREATE TABLE IF NOT EXISTS schema_migrations (
      room       TEXT    NOT NULL,
      number     INTEGER NOT NULL,
      name       TEXT    NOT NULL,
      checksum   TEXT    NOT NULL,
      applied_at INTEGER NOT NULL,
      PRIMARY KEY (room, number)
    );)"));
  std::vector<std::unique_ptr<Connection>> readers;
  for (std::uint32_t i = 0; i < std::max(config.readers, 1U); ++i) {
    TRY(auto reader, Connection::open(config, Connection::Access::read_only));
    readers.push_back(std::move(reader));
  }
  return std::make_unique<SqliteDatabase>(config, metrics, std::move(writer), std::move(readers));
}

}  // namespace flux::store::sqlite
