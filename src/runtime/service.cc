#include "runtime/service.h"

#include <algorithm>
#include <optional>
#include <string>

#include "runtime/shard.h"
#include "runtime/spawn.h"

namespace flux::runtime {
namespace {

Error named(const Service& service, const char* doing, Error error) {
  error.message = std::string(service.name()) + " cannot " + doing + ": " + error.message;
  return error;
}

}  // namespace

Async<void> ServiceGroup::start() {
  while (started_ < services_.size()) {
    Service& service = *services_[started_];
    auto result = co_await service.start();
    if (!result) {
      Error error = named(service, "start", std::move(result).error());
      const auto stopped = co_await stop();
      if (!stopped) error.message += "; then " + stopped.error().message;
      co_return std::unexpected(std::move(error));
    }
    ++started_;
  }
  co_return {};
}

Async<void> ServiceGroup::drain(Duration limit) {
  const Duration deadline = Shard::current()->now() + limit;
  std::optional<Error> first;
  for (std::size_t i = started_; i-- > 0;) {
    Service& service = *services_[i];
    // Without time left a service still gets a moment: most have nothing under way by then.
    const Duration left = std::max(deadline - Shard::current()->now(), 10_ms);
    auto result = co_await with_timeout(service.drain(), left, "draining");
    if (!result && !first) first = named(service, "drain", std::move(result).error());
  }
  if (first) co_return std::unexpected(std::move(*first));
  co_return {};
}

Async<void> ServiceGroup::stop() {
  std::optional<Error> first;
  while (started_ > 0) {
    Service& service = *services_[--started_];
    auto result = co_await service.stop();
    if (!result && !first) first = named(service, "stop", std::move(result).error());
  }
  if (first) co_return std::unexpected(std::move(*first));
  co_return {};
}

}  // namespace flux::runtime
