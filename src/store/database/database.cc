#include "store/database/database.h"

#include <future>

namespace flux::store {

namespace {

Result<> wait_for(Database& database, void (Database::*submit)(Database::Work, Database::Done), Database::Work work) {
  std::promise<Result<>> promise;
  auto future = promise.get_future();
  (database.*submit)(std::move(work), [&promise](Result<> result) { promise.set_value(std::move(result)); });
  return future.get();
}

}  // namespace

Result<> Database::write(Work work) { return wait_for(*this, &Database::submit_write, std::move(work)); }
Result<> Database::read(Work work) { return wait_for(*this, &Database::submit_read, std::move(work)); }

}  // namespace flux::store
