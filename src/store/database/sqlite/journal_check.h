#pragma once

#include <filesystem>

#include "core/result.h"

namespace flux::store::sqlite {

/// Whether the write-ahead journal beside a database still holds what was committed to it. SQLite itself takes a
/// journal up to its first frame that does not verify and drops the rest without a word, since a crash leaves such
/// ends. But what a crash leaves can be told from what damage does: the header is durable before the first frame, a
/// commit before the next one begins, and the index beside it (`-shm`) counts only what was synced.
///
/// `corrupt` when commits are gone: the message names the file and what to do. Before the database is opened, by the
/// process that has the data folder. Blocking.
Result<> check_journal(const std::filesystem::path& database);

}  // namespace flux::store::sqlite
