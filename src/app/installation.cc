#include "app/installation.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <system_error>

#include "core/time.h"
#include "core/whole_file.h"
#include "observe/log.h"

namespace flux::app {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFile = "INSTALLATION";
constexpr std::string_view kFirstLine = "fluxgate installation ";
constexpr std::size_t kIdBytes = 16;

constexpr store::Migration kMigrations[] = {{1, "installation",
                                             "CREATE TABLE installation (\n"
                                             "  id         TEXT    NOT NULL PRIMARY KEY,\n"
                                             "  created_at INTEGER NOT NULL\n"
                                             ");"}};

Result<std::string> new_id() {
  std::array<unsigned char, kIdBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail_errno("cannot get random bytes", errno);
  std::string id;
  for (const unsigned char byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

bool is_id(std::string_view text) {
  return text.size() == 2 * kIdBytes && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// The log or the series hold something: there was a registry once, since they are made after it.
bool holds_readings(const fs::path& data) {
  std::error_code error;
  for (const char* folder : {"log", "series"}) {
    for (fs::recursive_directory_iterator at(data / folder, error), end; !error && at != end; at.increment(error)) {
      if (at->is_regular_file(error) && at->file_size(error) > 0) return true;
    }
  }
  return false;
}

}  // namespace

Result<Installation> Installation::look(const fs::path& data, const fs::path& registry) {
  const fs::path path = data / kFile;
  std::error_code error;
  if (!fs::exists(path, error)) return Installation(data, registry, {});
  const std::string text = read_file(path);
  std::string_view id = text;
  if (id.starts_with(kFirstLine)) id.remove_prefix(kFirstLine.size());
  if (const auto end = id.find('\n'); end != std::string_view::npos) id = id.substr(0, end);
  if (!is_id(id))
    return fail(ErrorCode::corrupt, path.string() + " is damaged: expected '" + std::string(kFirstLine) +
                                        "' and 32 hexadecimal digits. Restore it from a backup, or remove it: the next "
                                        "start writes it from " +
                                        registry.string());
  return Installation(data, registry, std::string(id));
}

std::unexpected<Error> Installation::lost(const std::string& how) const {
  return fail(ErrorCode::corrupt, registry_.string() + " " + how +
                                      ": it holds users, devices and keys, and without it this would be a new "
                                      "server that belongs to nobody. Restore it from a backup (with its -wal "
                                      "file if there is one), or begin a new registry with --set "
                                      "database.start_anew=true for one start");
}

Result<> Installation::check() const {
  std::error_code error;
  const bool there = fs::exists(registry_, error);
  if (there && fs::file_size(registry_, error) > 0) return {};
  if (!expected_ || (id_.empty() && !holds_readings(data_))) return {};
  return lost(
      std::string(there ? "is empty" : "is missing") + ", although " +
      (id_.empty() ? data_.string() + " holds readings" : (data_ / kFile).string() + " says that it was set up"));
}

Result<> Installation::recognize(store::Database& database) {
  DO(database.migrate("installation", kMigrations));
  std::optional<std::string> known;
  bool blank = true;
  DO(database.read([&](store::Session& session) -> Result<> {
    TRY(known, session.first("SELECT id FROM installation", {},
                             [](const store::Row& row) { return std::string(row.text(0)); }));
    TRY(const auto others, session.first("SELECT count(*) FROM schema_migrations WHERE room <> 'installation'", {},
                                         [](const store::Row& row) { return row.integer(0); }));
    blank = others.value_or(0) == 0;
    return {};
  }));
  const bool expected = expected_ && !id_.empty();
  if (!known && blank && expected) return lost("holds nothing");
  if (known && expected && *known != id_)
    return lost("is that of another installation (its id is " + *known + "; " + (data_ / kFile).string() + " says " +
                id_ + ")");
  if (!known) {
    // One that holds something is of a version that gave no ids: a backup, perhaps, from before.
    if (expected) {
      known = id_;
    } else {
      TRY(known, new_id());
    }
    DO(database.write([&](store::Session& session) -> Result<> {
      DO(session.run("INSERT INTO installation (id, created_at) VALUES (?, ?)", {*known, wall_now()}));
      return {};
    }));
  }
  if (*known == id_) return {};
  // The file comes last: once it is there, so is the registry.
  DO(database.fold());
  DO(write_file(data_ / kFile, std::string(kFirstLine) + *known + "\n", 0600));
  id_ = *known;
  return {};
}

Result<> Installation::set_aside(const Error& why) {
  std::error_code error;
  std::string suffix;
  for (int n = 1; suffix.empty() || fs::exists(registry_.string() + suffix, error) ||
                  fs::exists(registry_.string() + "-wal" + suffix, error);
       ++n)
    suffix = ".lost-" + std::to_string(n);
  for (const char* part : {"", "-wal", "-shm"}) {
    const fs::path path = registry_.string() + part;
    if (!fs::exists(path, error)) continue;
    fs::rename(path, path.string() + suffix, error);
    if (error) return fail_errno("cannot rename " + path.string(), error.value());
  }
  expected_ = false;
  log::warn(
      "a new registry is begun, as database.start_anew says; take the setting away again",
      {{"registry", registry_.string()}, {"set_aside_as", registry_.string() + suffix}, {"because", why.message}});
  return {};
}

}  // namespace flux::app
